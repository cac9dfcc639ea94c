// How a message shows a Python value: its repr, on one line and not too long.
#pragma once

#include <pybind11/pybind11.h>

#include <string>

namespace ck {

// Whatever the value does, the text is UTF-8, of one line and at most 80 characters.
std::string shown(const pybind11::handle& value);

}  // namespace ck
