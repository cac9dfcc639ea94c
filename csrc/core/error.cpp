#include "core/error.h"

#include <cstdarg>
#include <cstdio>

#include "core/reason.h"

namespace ck {
namespace {

std::string format_list(const char* format, va_list list) {
  va_list copy;
  va_copy(copy, list);
  const int length = std::vsnprintf(nullptr, 0, format, copy);
  va_end(copy);
  std::string text(length > 0 ? size_t(length) : 0, '\0');
  if (length > 0) std::vsnprintf(text.data(), text.size() + 1, format, list);
  return text;
}

}  // namespace

#define CK_FORMAT_ARGUMENTS(text, format)             \
  va_list list;                                       \
  va_start(list, format);                             \
  const std::string text = format_list(format, list); \
  va_end(list)

void throw_value_error(const char* format, ...) {
  CK_FORMAT_ARGUMENTS(text, format);
  throw ValueError(text);
}

void throw_type_error(const char* format, ...) {
  CK_FORMAT_ARGUMENTS(text, format);
  throw TypeError(text);
}

std::string format_text(const char* format, ...) {
  CK_FORMAT_ARGUMENTS(text, format);
  return text;
}

Reason accepted() { return Reason{false, ""}; }

Reason refused(const char* format, ...) {
  Reason reason{true, ""};
  va_list list;
  va_start(list, format);
  std::vsnprintf(reason.text, sizeof reason.text, format, list);
  va_end(list);
  return reason;
}

}  // namespace ck
