// core/files/files.h: what a crash, a full disk or a failing operation may leave behind.
#include "core/files/files.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <csignal>
#include <thread>

#include "tests/core/testing.h"

using namespace retrace;
using namespace retrace::testing;

namespace {

// Throws at the Nth operation; counts all of them.
struct FaultAt {
  std::atomic<int> count{0};
  explicit FaultAt(int nth) {
    set_file_operation_hook([this, nth](const char* operation, const fs::path&) {
      if (++count == nth) throw Error(Code::io, std::string("injected fault: ") + operation);
    });
  }
  ~FaultAt() { set_file_operation_hook(nullptr); }
};

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

TEST_CASE("files: write_file writes, replaces and makes parents", "[unit]") {
  TempFolder temp;
  const fs::path path = temp / "a/b/c.txt";
  write_file(path, "one");
  REQUIRE(read_file(path) == "one");
  const std::string bytes("two\0\xff\n", 6);
  write_file(path, bytes);
  REQUIRE(read_file(path) == bytes);
  publish_file(path, "three");
  REQUIRE(read_file(path) == "three");
  REQUIRE(names_in(temp / "a/b") == std::vector<std::string>{"c.txt"});
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  REQUIRE((status.st_mode & 0600) == 0600);
}

TEST_CASE("files: names as long as the file system allows can be written", "[unit]") {
  TempFolder temp;
  const fs::path path = temp / std::string(255, 'n');
  write_file(path, "x");
  REQUIRE(read_file(path) == "x");
  REQUIRE(error_of([&] { write_file(temp / std::string(300, 'n'), "x"); }).code() == Code::input);
}

TEST_CASE("files: a fault at any operation of write_file keeps the old content and leaves no temp file",
          "[fault]") {
  int operations = 0;
  for (int nth = 1;; ++nth) {
    TempFolder temp;
    const fs::path path = temp / "folder/file";
    write_file(path, "old");
    bool failed = false;
    {
      FaultAt fault(nth);
      try {
        write_file(path, "new");
      } catch (const Error& error) {
        failed = true;
        REQUIRE(error.code() == Code::io);
      }
      operations = fault.count;
    }
    const std::string content = slurp(path);
    INFO("operation " << nth);
    if (!failed) {
      REQUIRE(content == "new");
      break;
    }
    // Only the fsync of the folder comes after the rename.
    REQUIRE(content == (nth == operations && nth == 5 ? "new" : "old"));
    REQUIRE(names_in(temp / "folder") == std::vector<std::string>{"file"});
  }
  REQUIRE(operations == 5);  // open, write, fsync, rename, fsync_folder
}

TEST_CASE("files: a staged file is invisible until its commit and gone without one", "[unit]") {
  TempFolder temp;
  {
    StagedFile file(temp / "x");
    file.write("abc");
    file.write("def");
    REQUIRE(file.size_bytes() == 6);
    REQUIRE_FALSE(fs::exists(temp / "x"));
    file.commit();
    REQUIRE(slurp(temp / "x") == "abcdef");
    REQUIRE(error_of([&] { file.write("g"); }).code() == Code::internal);
    REQUIRE(error_of([&] { file.commit(); }).code() == Code::internal);
  }
  {
    StagedFile file(temp / "y");
    file.write("abc");
  }
  REQUIRE(names_in(temp.path()) == std::vector<std::string>{"x"});
}

TEST_CASE("files: what a killed writer left is removed by name only", "[fault]") {
  TempFolder temp;
  end_child(start_child([&] {
              auto* file = new StagedFile(temp / "x");
              file->write("half");
            }),
            SIGKILL);
  spill(temp / "kept", "1");
  REQUIRE(names_in(temp.path()).size() == 2);
  remove_temp_files(temp.path());
  REQUIRE(names_in(temp.path()) == std::vector<std::string>{"kept"});
}

TEST_CASE("files: readers during many replacements see old or new, never half", "[unit]") {
  TempFolder temp;
  const std::string a(50'000, 'a'), b(70'000, 'b');
  write_file(temp / "f", a);
  std::atomic<bool> stop{false};
  std::atomic<int> torn{0}, reads{0};
  std::thread reader([&] {
    while (!stop) {
      const std::string content = read_file(temp / "f");
      ++reads;
      if (content != a && content != b) ++torn;
    }
  });
  for (int i = 0; i < 60; ++i) publish_file(temp / "f", i % 2 == 0 ? b : a);
  stop = true;
  reader.join();
  REQUIRE(torn == 0);
  REQUIRE(reads > 0);
}

TEST_CASE("files: reading says what is wrong", "[unit]") {
  TempFolder temp;
  REQUIRE(error_of([&] { read_file(temp / "absent"); }).code() == Code::input);
  REQUIRE(error_of([&] { read_file(temp.path()); }).code() == Code::input);
  spill(temp / "ten", "0123456789");
  REQUIRE(read_file(temp / "ten", 10).size() == 10);
  const Error large = error_of([&] { read_file(temp / "ten", 9); });
  REQUIRE(large.code() == Code::corrupt);
  REQUIRE(std::string(large.what()).find("ten") != std::string::npos);
  REQUIRE(error_of([&] { read_file("/dev/zero", 100'000); }).code() == Code::corrupt);
  REQUIRE(read_file("/proc/self/status").find("Pid:") != std::string::npos);
  REQUIRE(error_of([&] { list_folder(temp / "absent"); }).code() == Code::input);
  REQUIRE(error_of([&] { MappedFile map(temp / "absent"); }).code() == Code::input);
  REQUIRE(error_of([&] { MappedFile map(temp.path()); }).code() == Code::input);
  REQUIRE(error_of([&] { write_file(temp / "ten/below", "x"); }).code() == Code::input);
  REQUIRE(error_of([&] { write_file(temp.path() / "", "x"); }).code() == Code::input);
}

TEST_CASE("files: append adds whole lines and repairs a torn last one", "[unit]") {
  TempFolder temp;
  const fs::path path = temp / "log.jsonl";
  {
    AppendFile file(path);
    file.line("one");
    file.line("");
    file.sync();
  }
  REQUIRE(slurp(path) == "one\n\n");
  spill(path, "one\ntwo\n{\"half\": ");
  Captured log(STDERR_FILENO);
  {
    AppendFile file(path);
    file.line("three");
  }
  REQUIRE(slurp(path) == "one\ntwo\nthree\n");
  REQUIRE(log.text().find("dropped 9 bytes") != std::string::npos);
  spill(path, std::string(20'000, 'x'));  // longer than what is read at once, and without any newline
  { AppendFile file(path); }
  REQUIRE(slurp(path).empty());
  spill(path, "a\n" + std::string(9'000, 'x'));
  { AppendFile file(path); }
  REQUIRE(slurp(path) == "a\n");
  AppendFile file(path);
  REQUIRE(error_of([&] { file.line("two\nlines"); }).code() == Code::internal);
}

TEST_CASE("files: lines appended by several threads stay whole", "[unit]") {
  TempFolder temp;
  AppendFile file(temp / "f");
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&file, t] {
      for (int i = 0; i < 200; ++i) file.line(std::string(100, static_cast<char>('a' + t)));
    });
  for (auto& thread : threads) thread.join();
  const std::string text = slurp(temp / "f");
  REQUIRE(text.size() == 4 * 200 * 101);
  for (size_t line = 0; line < 800; ++line)
    REQUIRE(text.substr(line * 101, 100) == std::string(100, text[line * 101]));
}

TEST_CASE("files: a file size limit is an error with status 75 and tears nothing", "[fault]") {
  TempFolder temp;
  write_file(temp / "f", "old");
  const std::string outcome = in_child([&] {
    std::signal(SIGXFSZ, SIG_IGN);
    AppendFile file(temp / "lines");
    file.line("first");
    const rlimit limit{1000, 1000};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return std::string("no limit");
    std::string out;
    try {
      file.line(std::string(2000, 'x'));
    } catch (const Error& error) {
      out += std::to_string(error.status()) + " ";
    }
    try {
      write_file(temp / "f", std::string(2000, 'y'));
    } catch (const Error& error) {
      out += std::to_string(error.status());
    }
    return out;
  });
  REQUIRE(outcome == "75 75");
  REQUIRE(slurp(temp / "f") == "old");
  REQUIRE(slurp(temp / "lines") == "first\n");
  REQUIRE(names_in(temp.path()) == std::vector<std::string>{"f", "lines"});
}

TEST_CASE("files: a full disk is an error with status 75 and a hint, and tears nothing", "[fault]") {
  TempFolder temp;
  fs::create_directories(temp / "small");
  const std::string outcome = in_child([&] {
    const int user = ::geteuid() == 0 ? 0 : CLONE_NEWUSER;
    if (::unshare(CLONE_NEWNS | user) != 0) return std::string("skip");
    ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
    if (::mount("tmpfs", (temp / "small").c_str(), "tmpfs", 0, "size=64k") != 0) return std::string("skip");
    const fs::path path = temp / "small/f", lines = temp / "small/lines";
    write_file(path, std::string(10'000, 'o'));
    AppendFile file(lines);
    file.line("first");
    std::string out;
    try {
      write_file(path, std::string(100'000, 'n'));
    } catch (const Error& error) {
      out += std::to_string(error.status()) + (error.hint().empty() ? " no hint " : " hint ");
    }
    out += slurp(path) == std::string(10'000, 'o') ? "old " : "torn ";
    for (int i = 0; i < 100; ++i) {
      try {
        file.line(std::string(3000, 'x'));
      } catch (const Error& error) {
        out += std::to_string(error.status()) + " ";
        break;
      }
    }
    const std::string text = slurp(lines);
    out += text.ends_with("x\n") && (text.size() - 6) % 3001 == 0 ? "whole " : "torn ";
    out += std::to_string(names_in(temp / "small").size());
    return out;
  });
  if (outcome == "skip") SKIP("a small tmpfs needs mount namespaces, which this machine does not allow");
  REQUIRE(outcome == "75 hint old 75 whole 2");
}

TEST_CASE("files: folders are listed in order, made with parents and renamed durably", "[unit]") {
  TempFolder temp;
  make_folders(temp / "d/e/f/");
  make_folders(temp / "d/e/f");
  REQUIRE(fs::is_directory(temp / "d/e/f"));
  spill(temp / "d/b", "");
  spill(temp / "d/.hidden", "");
  REQUIRE(list_folder(temp / "d") == std::vector<std::string>{".hidden", "b", "e"});
  rename_durably(temp / "d", temp / "g");
  REQUIRE(fs::is_directory(temp / "g/e/f"));
  REQUIRE(error_of([&] { rename_durably(temp / "absent", temp / "h"); }).code() == Code::input);
  REQUIRE(error_of([&] { make_folders(temp / "g/b/c"); }).code() == Code::input);
  remove_file(temp / "g/b");
  remove_file(temp / "g/b");
  REQUIRE(list_folder(temp / "g") == std::vector<std::string>{".hidden", "e"});
}

TEST_CASE("files: the log tells what changed the disk, in order", "[unit]") {
  TempFolder temp;
  std::vector<std::string> log;
  set_file_log([&](const FileOperation& done) {
    std::string text = std::string(done.name) + " " + done.path.lexically_relative(temp.path()).string();
    if (text.find(".retrace-tmp-") != std::string::npos) text = std::string(done.name) + " temp";
    if (done.from != nullptr) text += " from temp";
    log.push_back(text + std::string(done.bytes.empty() ? "" : ": ") + std::string(done.bytes));
  });
  write_file(temp / "d/f", "one");
  spill(temp / "d/lines", "whole\ntorn");
  {
    AppendFile lines(temp / "d/lines"), fresh(temp / "fresh");
    lines.line("two");
    fresh.sync();
  }
  {
    StagedFile dropped(temp / "d/never");
    dropped.write("x");
  }
  remove_tree(temp / "d");
  remove_tree(temp / "d");
  set_file_log(nullptr);
  REQUIRE(log == std::vector<std::string>{
                     "mkdir d", "fsync_folder .", "create temp", "write temp: one", "fsync temp",
                     "rename d/f from temp", "fsync_folder d", "truncate d/lines", "create fresh",
                     "fsync_folder .", "write d/lines: two\n", "fsync fresh", "create temp", "write temp: x",
                     "unlink temp", "unlink d/f", "unlink d/lines", "rmdir d"});
  REQUIRE_FALSE(fs::exists(temp / "d"));
}

TEST_CASE("files: a tree is removed with its links, not what they point to", "[unit]") {
  TempFolder temp;
  spill(temp / "kept", "x");
  make_folders(temp / "tree/sub");
  fs::create_symlink(temp.path(), temp / "tree/sub/link");
  remove_tree(temp / "tree");
  REQUIRE(names_in(temp.path()) == std::vector<std::string>{"kept"});
  REQUIRE(error_of([] { fail_with_errno("write", "somewhere", ENOSPC); }).status() == 75);
}

TEST_CASE("files: a map shows the bytes, also of an empty file", "[unit]") {
  TempFolder temp;
  spill(temp / "f", std::string("a\0b", 3));
  spill(temp / "empty", "");
  const MappedFile map(temp / "f"), empty(temp / "empty");
  REQUIRE(map.bytes() == std::string_view("a\0b", 3));
  REQUIRE(empty.bytes().empty());
}
