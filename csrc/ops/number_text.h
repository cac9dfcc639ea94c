// A number in a message, with as many digits as tell it from every other double.
#pragma once

#include <charconv>
#include <string>

namespace ck {

inline std::string number_text(double value) {
  char text[32];
  return std::string(text, std::to_chars(text, text + sizeof(text), value).ptr);
}

}  // namespace ck
