// One engine for several threads: the texts that all of them write are decoded together, and scoring takes
// its turn between two tokens. Each thread uses a handle of its own; what a handle gives is bit for bit what
// the engine alone would give.
#pragma once

#include <memory>

#include "model/engine/engine.h"

namespace retrace::model {

class SharedEngine {
 public:
  // `engine` must outlive this and be used by nobody else meanwhile. Handles must end before this does. It
  // computes with as many threads as the caller does.
  explicit SharedEngine(Engine& engine);
  ~SharedEngine();
  SharedEngine(const SharedEngine&) = delete;
  SharedEngine& operator=(const SharedEngine&) = delete;

  // An engine with kept prefixes and a token count of its own. An exception of a text's functions reaches the
  // thread that asked for the text, and no other.
  std::unique_ptr<Engine> handle();

 private:
  class Work;
  class Handle;
  std::unique_ptr<Work> work_;
};

}  // namespace retrace::model
