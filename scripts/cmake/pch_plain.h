// What nearly every source includes. Precompiled once for the rooms without torch; sources still include what
// they use.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include "core/error.h"
#include "core/files/files.h"
#include "core/json.h"
#include "core/log.h"
#include "core/recipe/recipe.h"
#include "core/text.h"
