// Calls on arrays of float16 and bfloat16. Kernels compute in float32; around them each piece of
// the batch is widened, run and narrowed while it is still in cache. The result is that of the
// float32 call rounded once, whatever the piece.
#include <algorithm>

#include "bind/plan.h"

#include "ops/convert/problem.h"

namespace ck {
namespace {

// Widened arrays of a piece. The host's stay within what cores keep in cache; a device wants few
// launches.
constexpr int64_t kHostBytes = int64_t(4) << 20, kDeviceBytes = int64_t(256) << 20;
constexpr int64_t kAlignment = 256;

// An array of a call: where its piece lies, as stored and as the kernel reads or writes it.
struct Slot {
  std::string dtype;
  int64_t images, items;  // items of one image; an array that is not cut is one image
  int64_t offset = 0;     // of the widened piece in the workspace

  bool widened() const { return is_16_bit(dtype); }
  bool cut() const { return images > 1; }
  int64_t items_of(int64_t piece) const { return cut() ? items * piece : items; }
};

Slot make_slot(const std::string& dtype, const Shape& shape, int64_t images) {
  int64_t items = dtype.empty() ? 0 : 1;
  for (const int64_t side : shape) items *= side;
  return {dtype, images, items / std::max<int64_t>(images, 1)};
}

struct Layout16 {
  std::vector<Slot> inputs, outputs;
  int64_t images, piece;  // of the call, and at once
  int64_t bytes;          // of all widened pieces
  Backend backend;
  PieceKernel kernel;
};

int64_t place_slots(std::vector<Slot>& slots, int64_t piece, int64_t used) {
  for (Slot& slot : slots) {
    if (!slot.widened()) continue;
    slot.offset = used;
    const int64_t bytes = slot.items_of(piece) * int64_t(sizeof(float));
    used += (bytes + kAlignment - 1) / kAlignment * kAlignment;
  }
  return used;
}

int64_t widened_bytes_per_image(const Layout16& layout) {
  int64_t items = 0;
  for (const auto* slots : {&layout.inputs, &layout.outputs}) {
    for (const Slot& slot : *slots) {
      if (slot.widened() && slot.cut()) items += slot.items;
    }
  }
  return items * int64_t(sizeof(float));
}

void convert(const Slot& slot, Direction direction, Backend backend, const void* in, void* out,
             int64_t items, const Execution& execution) {
  const Storage storage = slot.dtype == "float16" ? Storage::kFloat16 : Storage::kBFloat16;
  convert_kernel(backend).run({storage, items}, direction, {in, out}, execution);
}

char* stored(const Slot& slot, void* array, int64_t first) {
  return static_cast<char*>(array) +
         (slot.cut() ? first * slot.items * itemsize_of(slot.dtype) : 0);
}

void run(const Layout16& layout, std::span<void* const> inputs, std::span<void* const> outputs,
         const Execution& execution) {
  char* const widened = static_cast<char*>(execution.workspace);
  Execution inner = execution;
  inner.workspace = widened + layout.bytes;
  inner.workspace_bytes = execution.workspace_bytes - layout.bytes;
  std::vector<void*> in(inputs.begin(), inputs.end()), out(outputs.begin(), outputs.end());
  for (int64_t first = 0; first < layout.images; first += layout.piece) {
    const int64_t images = std::min(layout.piece, layout.images - first);
    for (size_t i = 0; i < in.size(); ++i) {
      const Slot& slot = layout.inputs[i];
      if (inputs[i] == nullptr || (first > 0 && !slot.cut())) continue;
      in[i] = stored(slot, inputs[i], first);
      if (!slot.widened()) continue;
      void* const wide = widened + slot.offset;
      convert(slot, Direction::kFprop, layout.backend, in[i], wide, slot.items_of(images),
              execution);
      in[i] = wide;
    }
    for (size_t i = 0; i < out.size(); ++i) {
      const Slot& slot = layout.outputs[i];
      if (outputs[i] == nullptr) continue;
      out[i] = slot.widened() ? widened + slot.offset : stored(slot, outputs[i], first);
    }
    layout.kernel.run(images, in, out, inner);
    for (size_t i = 0; i < out.size(); ++i) {
      const Slot& slot = layout.outputs[i];
      if (outputs[i] == nullptr || !slot.widened()) continue;
      convert(slot, Direction::kDgrad, layout.backend, out[i], stored(slot, outputs[i], first),
              slot.items_of(images), execution);
    }
  }
}

}  // namespace

bool is_16_bit(const std::string& dtype) { return dtype == "float16" || dtype == "bfloat16"; }

void store_in_16_bits(Plan& plan, const std::vector<NamedArray>& arrays, int64_t images,
                      const BatchRule& rule, const PieceKernel& kernel) {
  // An empty batch is one piece too: what does not begin with images is still written.
  const bool by_image = rule.independent && images > 0;
  Layout16 layout{{}, {}, by_image ? images : 1, 1, 0, plan.backend, kernel};
  for (const NamedArray& array : arrays) {
    const bool whole =
        std::find(rule.whole.begin(), rule.whole.end(), array.name) != rule.whole.end();
    layout.inputs.push_back(make_slot(array.dtype, array.shape, whole ? 1 : layout.images));
  }
  for (const OutputSpec& output : plan.outputs) {
    layout.outputs.push_back(
        make_slot(output.dtype, output.shape, output.per_image ? layout.images : 1));
  }
  const int64_t budget = plan.backend == Backend::kCuda ? kDeviceBytes : kHostBytes;
  const int64_t per_image = std::max<int64_t>(widened_bytes_per_image(layout), 1);
  layout.piece = std::clamp<int64_t>(budget / per_image, 1, std::max<int64_t>(layout.images, 1));
  layout.bytes = place_slots(layout.inputs, layout.piece, 0);
  layout.bytes = place_slots(layout.outputs, layout.piece, layout.bytes);

  // The kernel counts the images of its piece; one piece without cuts holds all of them.
  const int64_t in_piece = by_image ? layout.piece : images;
  const int64_t rest = by_image ? layout.images % layout.piece : 0;
  if (!by_image) {
    layout.kernel.run = [=](int64_t, auto in, auto out, const Execution& execution) {
      kernel.run(images, in, out, execution);
    };
  }
  plan.workspace_bytes = [=, bytes = layout.bytes](int threads) {
    const int64_t last = rest > 0 ? kernel.workspace_bytes(rest, threads) : 0;
    return bytes + std::max(kernel.workspace_bytes(in_piece, threads), last);
  };
  plan.run = [layout = std::move(layout)](auto in, auto out, const Execution& execution) {
    run(layout, in, out, execution);
  };
}

}  // namespace ck
