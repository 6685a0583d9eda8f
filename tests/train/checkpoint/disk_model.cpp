#include "tests/train/checkpoint/disk_model.h"

#include <algorithm>
#include <stdexcept>

namespace retrace::train::testing {

bool DiskModel::inside(const fs::path& path) const {
  const fs::path relative = path.lexically_relative(root_);
  return !relative.empty() && *relative.begin() != "..";
}

DiskModel::Place DiskModel::place_of(const fs::path& path) const {
  size_t folder = 0;
  const fs::path relative = path.lexically_relative(root_);
  for (const fs::path& part : relative.parent_path()) {
    const auto found = inodes_[folder].entries.find(part.string());
    if (found == inodes_[folder].entries.end())
      throw std::runtime_error("unknown folder of " + path.string());
    folder = found->second;
  }
  return {folder, relative.filename().string()};
}

void DiskModel::add(const FileOperation& operation) {
  if (!inside(operation.path)) return;
  const std::string what = operation.name;
  if (operation.path == root_) {
    if (what == "fsync_folder") log_.push_back({Kind::sync_folder});
    return;
  }
  const Place place = place_of(operation.path);
  auto& entries = inodes_[place.folder].entries;
  Logged entry{Kind::entry, 0, place.folder, place.name};
  if (what == "create" || what == "mkdir") {
    entry.inode = inodes_.size();
    inodes_.push_back({what == "mkdir"});
    inodes_[place.folder].entries[place.name] = entry.inode;  // push_back moved the folders
  } else if (what == "rename") {
    const Place old = place_of(*operation.from);
    entry.kind = Kind::move;
    entry.inode = inodes_[old.folder].entries.at(old.name);
    entry.old_folder = old.folder;
    entry.old_name = old.name;
    inodes_[old.folder].entries.erase(old.name);
    entries[place.name] = entry.inode;
  } else if (what == "unlink" || what == "rmdir") {
    entry.kind = Kind::remove;
    entry.inode = entries.at(place.name);
    entries.erase(place.name);
  } else {
    Inode& inode = inodes_[entry.inode = entries.at(place.name)];
    if (what == "write") {
      entry.kind = Kind::data;
      entry.offset = inode.size;
      entry.bytes = operation.bytes;
      inode.size += operation.bytes.size();
    } else if (what == "truncate") {
      entry.kind = Kind::cut;
      entry.offset = inode.size = operation.size_bytes;
    } else if (what == "fsync") {
      entry.kind = Kind::sync;
    } else if (what == "fsync_folder") {
      entry.kind = Kind::sync_folder;
    } else {
      throw std::runtime_error("unknown operation " + what);
    }
  }
  log_.push_back(entry);
}

bool DiskModel::synced(size_t index, size_t prefix, Syncs syncs) const {
  const Logged& one = log_[index];
  const bool data = one.kind == Kind::data || one.kind == Kind::cut;
  bool here = false, there = one.kind != Kind::move || one.folder == one.old_folder;
  for (size_t i = index + 1; i < prefix; ++i) {
    if (data && log_[i].kind == Kind::sync && syncs != Syncs::no_fsync && log_[i].inode == one.inode)
      return true;
    if (data || log_[i].kind != Kind::sync_folder || syncs == Syncs::no_folder_fsync) continue;
    here |= log_[i].inode == one.folder;
    there |= log_[i].inode == one.old_folder;
    if (here && there) return true;
  }
  return false;
}

DiskModel::Tree DiskModel::replay(const std::vector<size_t>& order) const {
  std::vector<std::map<std::string, size_t>> entries(inodes_.size());
  std::vector<std::string> content(inodes_.size());
  for (const size_t index : order) {
    const Logged& one = log_[index];
    auto& names = entries[one.folder];
    switch (one.kind) {
      case Kind::data:
        if (content[one.inode].size() < one.offset + one.bytes.size())
          content[one.inode].resize(one.offset + one.bytes.size());
        content[one.inode].replace(one.offset, one.bytes.size(), one.bytes);
        break;
      case Kind::cut:
        content[one.inode].resize(one.offset);
        break;
      case Kind::entry:
        names[one.name] = one.inode;
        break;
      case Kind::move: {
        auto& old_names = entries[one.old_folder];
        const auto old = old_names.find(one.old_name);
        if (old != old_names.end() && old->second == one.inode) old_names.erase(old);
        names[one.name] = one.inode;
        break;
      }
      case Kind::remove: {
        const auto found = names.find(one.name);
        if (found != names.end() && found->second == one.inode) names.erase(found);
        break;
      }
      case Kind::sync:
      case Kind::sync_folder:
        break;
    }
  }
  Tree tree;
  const std::function<void(size_t, const std::string&)> walk = [&](size_t inode, const std::string& path) {
    if (inodes_[inode].folder) {
      if (!path.empty()) tree[path] = "/";
      for (const auto& [name, child] : entries[inode]) walk(child, path.empty() ? name : path + "/" + name);
    } else {
      tree[path] = "=" + content[inode];
    }
  };
  walk(0, "");
  return tree;
}

void DiskModel::each_outcome(size_t prefix, Syncs syncs,
                             const std::function<void(const Tree&)>& visit) const {
  std::vector<size_t> durable, open, all;
  for (size_t i = 0; i < prefix; ++i) {
    if (log_[i].kind == Kind::sync || log_[i].kind == Kind::sync_folder) continue;
    (synced(i, prefix, syncs) ? durable : open).push_back(i);
    all.push_back(i);
  }
  visit(replay(all));
  visit(replay(durable));
  for (size_t k = 0; k < open.size(); ++k) {
    std::vector<size_t> without, with = durable, first = durable;
    std::copy_if(all.begin(), all.end(), std::back_inserter(without), [&](size_t i) { return i != open[k]; });
    with.push_back(open[k]);
    first.insert(first.end(), open.begin(), open.begin() + static_cast<int64_t>(k));
    std::sort(with.begin(), with.end());
    std::sort(first.begin(), first.end());
    visit(replay(without));
    visit(replay(with));
    visit(replay(first));
  }
  std::vector<size_t> reversed = durable;
  reversed.insert(reversed.end(), open.rbegin(), open.rend());
  visit(replay(reversed));
}

}  // namespace retrace::train::testing
