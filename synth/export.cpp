#include "synth/export.h"

#include "core/error.h"
#include "core/files/files.h"
#include "synth/export/forms.h"
#include "synth/record/store.h"

namespace retrace::synth {

size_t export_trajectories(const std::filesystem::path& from, const std::string& format,
                           const RenderOptions& options, const std::filesystem::path& to) {
  if (format != "messages" && format != "sharegpt" && format != "text" && format != "atif" &&
      format != "json")
    throw Error(Code::usage, fmt::format("unknown export format '{}'", format),
                "one of messages, sharegpt, atif, text, json");
  StagedFile file(to);
  size_t lines = 0;
  const auto write = [&](const Trajectory& t) {
    const Json line = format == "messages"   ? to_messages(t, options.variant)
                      : format == "sharegpt" ? to_sharegpt(t, options.variant)
                      : format == "atif"     ? to_atif(t, options.variant)
                      : format == "text"     ? to_text_record(t, options)
                                             : to_json(t);
    file.write(to_text(line) + "\n");
    ++lines;
  };
  if (fs::is_directory(from)) {
    for_each_trajectory(from, write);
  } else {
    const TrajectoryReader reader(from);
    for (size_t i = 0; i < reader.size(); ++i) write(reader.read(i));
  }
  if (lines == 0)
    throw Error(Code::input, "there is no trajectory to export", "a run keeps them in rounds/NNN/synth",
                from.filename().string());
  file.commit();
  return lines;
}

}  // namespace retrace::synth
