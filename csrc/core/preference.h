// What `auto` takes before the order of an op's table, and why: a sentence for the user, written
// beside the rule it explains. Host only.
#pragma once

#include <string>

namespace ck {

struct Preference {
  const char* algorithm = nullptr;  // null: the table's order stands
  std::string reason;
};

}  // namespace ck
