#include "synth/show.h"

#include "core/error.h"
#include "core/files/files.h"
#include "synth/record/store.h"
#include "synth/view/page.h"
#include "synth/view/search_log.h"
#include "synth/view/terminal.h"

namespace retrace::synth {

namespace {

bool is_shard(const std::filesystem::path& file) {
  if (!fs::is_regular_file(file)) return false;
  const MappedFile map(file);
  return map.bytes().starts_with("RTRJ");
}

}  // namespace

bool show_trajectory(const std::filesystem::path& file, const ShowOptions& options, std::ostream& out) {
  if (!is_shard(file)) return false;
  const TrajectoryReader reader(file);
  const Trajectory t = reader.read(options.index);
  if (options.as == "terminal")
    print_trajectory(t, read_search_log(file, t),
                     {options.colour, options.full, options.index, reader.size()}, out);
  else if (options.as == "html")
    out << trajectory_page(t, read_search_log(file, t));
  else if (options.as == "json")
    out << to_text(to_json(t)) << "\n";
  else
    throw Error(Code::usage, fmt::format("cannot show a trajectory as '{}'", options.as),
                "one of terminal, html, json");
  return true;
}

}  // namespace retrace::synth
