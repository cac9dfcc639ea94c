#include "simt/check/code_place.h"

#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "core/error.h"
#include "simt/fiber.h"

namespace ck::simt {

namespace {

constexpr int kFrames = 3;  // of inlined functions, told in a report

intptr_t anchor() { return reinterpret_cast<intptr_t>(&ck_simt_switch); }

std::string base_name(const char* path) {
  const char* slash = std::strrchr(path, '/');
  return slash != nullptr ? slash + 1 : path;
}

// "dir/file.cu:12 (discriminator 3)": an inlined frame a line, outer ones after inner ones.
std::string lines_of(const char* module, uintptr_t address) {
  if (std::strchr(module, '\'') != nullptr) return "";
  const std::string command =
      format_text("addr2line -i -e '%s' 0x%llx 2>/dev/null", module, (unsigned long long)address);
  std::FILE* output = popen(command.c_str(), "r");
  if (output == nullptr) return "";
  std::string text;
  char line[4096];
  for (int frames = 0; std::fgets(line, sizeof(line), output) != nullptr;) {
    line[std::strcspn(line, " \n")] = '\0';
    const std::string place = base_name(line);
    if (frames == kFrames || place.starts_with("?") || place.ends_with(":0") ||
        place.ends_with(":?") || std::strstr(line, "csrc/simt/") != nullptr)
      continue;
    text += (frames++ > 0 ? " from " : "") + place;
  }
  pclose(output);
  return text;
}

}  // namespace

int32_t site_of(const void* return_address) {
  return static_cast<int32_t>(reinterpret_cast<intptr_t>(return_address) - anchor());
}

std::string text_of_site(int32_t site) {
  const uintptr_t address = static_cast<uintptr_t>(anchor() + site) - 1;  // within the call
  Dl_info info;
  void* map = nullptr;
  if (dladdr1(reinterpret_cast<void*>(address), &info, &map, RTLD_DL_LINKMAP) == 0) return "?";
  const link_map* module = static_cast<link_map*>(map);
  char program[PATH_MAX] = {};
  const char* file = module->l_name;
  if (file[0] == '\0' && readlink("/proc/self/exe", program, sizeof(program) - 1) > 0)
    file = program;
  const std::string lines = lines_of(file, address - module->l_addr);
  if (!lines.empty()) return lines;
  if (info.dli_sname != nullptr) {
    return format_text("%s+0x%llx", info.dli_sname,
                       (unsigned long long)(address - reinterpret_cast<uintptr_t>(info.dli_saddr)));
  }
  return format_text("%s+0x%llx", base_name(info.dli_fname).c_str(),
                     (unsigned long long)(address - module->l_addr));
}

}  // namespace ck::simt
