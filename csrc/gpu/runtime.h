// What the binding layer needs of the CUDA runtime. Present only in builds with the cuda backend.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ck {
namespace cuda {

// Names of the devices, empty where there is no driver or no device.
std::vector<std::string> device_names();

// Makes a device current for as long as it lives.
class DeviceGuard {
 public:
  explicit DeviceGuard(int device);
  ~DeviceGuard();
  DeviceGuard(const DeviceGuard&) = delete;
  DeviceGuard& operator=(const DeviceGuard&) = delete;

 private:
  int previous_ = -1;
};

// Stream-ordered scratch memory: freed in order behind the work that uses it, without waiting.
class DeviceWorkspace {
 public:
  DeviceWorkspace(int64_t bytes, void* stream);
  ~DeviceWorkspace();
  DeviceWorkspace(const DeviceWorkspace&) = delete;
  DeviceWorkspace& operator=(const DeviceWorkspace&) = delete;
  void* get() const { return memory_; }

 private:
  void* memory_ = nullptr;
  void* stream_;
};

}  // namespace cuda
}  // namespace ck
