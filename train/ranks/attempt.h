// Work whose failure the other ranks are told of, instead of an exception that ends this rank alone.
#pragma once

#include <exception>
#include <string>

#include "core/error.h"

namespace retrace::train {

// Runs `work` and gives "" or what went wrong, for the other ranks to read. A lost rank and a work that was
// given up are no such outcome: they stay exceptions.
template <class Work>
std::string attempt(int rank, Work work) {
  try {
    work();
    return "";
  } catch (const Error& error) {
    if (error.code() == Code::distributed || error.code() == Code::interrupted) throw;
    const std::string place = error.where().empty() ? "" : error.where() + ": ";
    return fmt::format("rank {}: {}{}", rank, place, error.message());
  } catch (const std::exception& problem) {
    return fmt::format("rank {}: {}", rank, problem.what());
  }
}

}  // namespace retrace::train
