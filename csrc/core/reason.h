// Why a kernel declines a problem: a sentence such as "stride is (2, 2), needs (1, 1)".
#pragma once

namespace ck {

struct Reason {
  bool refused;
  char text[192];
};

Reason accepted();
Reason refused(const char* format, ...) __attribute__((format(printf, 1, 2)));

}  // namespace ck
