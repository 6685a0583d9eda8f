// The templates of core/json.h, compiled once.
#include "core/json.h"

template class nlohmann::basic_json<nlohmann::ordered_map>;

namespace retrace {

template bool get<bool>(const Json&, const char*, const std::string&);
template bool get_or<bool>(const Json&, const char*, bool, const std::string&);
template int get<int>(const Json&, const char*, const std::string&);
template int get_or<int>(const Json&, const char*, int, const std::string&);
template int64_t get<int64_t>(const Json&, const char*, const std::string&);
template int64_t get_or<int64_t>(const Json&, const char*, int64_t, const std::string&);
template uint32_t get<uint32_t>(const Json&, const char*, const std::string&);
template uint32_t get_or<uint32_t>(const Json&, const char*, uint32_t, const std::string&);
template uint64_t get<uint64_t>(const Json&, const char*, const std::string&);
template uint64_t get_or<uint64_t>(const Json&, const char*, uint64_t, const std::string&);
template double get<double>(const Json&, const char*, const std::string&);
template double get_or<double>(const Json&, const char*, double, const std::string&);
template std::string get<std::string>(const Json&, const char*, const std::string&);
template std::string get_or<std::string>(const Json&, const char*, std::string, const std::string&);
template Json get<Json>(const Json&, const char*, const std::string&);
template Json get_or<Json>(const Json&, const char*, Json, const std::string&);
template std::vector<std::string> get<std::vector<std::string>>(const Json&, const char*, const std::string&);
template std::vector<std::string> get_or<std::vector<std::string>>(const Json&, const char*,
                                                                   std::vector<std::string>,
                                                                   const std::string&);
template std::vector<int64_t> get<std::vector<int64_t>>(const Json&, const char*, const std::string&);
template std::vector<int64_t> get_or<std::vector<int64_t>>(const Json&, const char*, std::vector<int64_t>,
                                                           const std::string&);
template std::vector<double> get<std::vector<double>>(const Json&, const char*, const std::string&);
template std::vector<double> get_or<std::vector<double>>(const Json&, const char*, std::vector<double>,
                                                         const std::string&);

}  // namespace retrace
