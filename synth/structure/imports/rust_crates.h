// The crates of a tree: their root files, by the Cargo.toml files (Cargo.toml.orig where the other was left
// out), and the names under which code may call them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "synth/structure/imports/imports.h"

namespace retrace::synth {

struct CrateRoot {
  int file = -1;
  std::string library;  // the name that other crates use; "" if it is no library
};

struct CargoPackage {
  std::string folder;
  std::vector<CrateRoot> roots;                // libraries first
  std::map<std::string, std::string> renames;  // dependency as called here -> crate name
};

std::vector<CargoPackage> cargo_packages(const FileIndex& index);

}  // namespace retrace::synth
