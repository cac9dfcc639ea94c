// Products without index maps, for conv2d.*.1x1 and the columns of conv2d.*.im2col: x is (pixels,
// channels) in either layout, w (filters, channels), y (pixels, filters), per group. Pixels of all
// images make one long axis, so that small images fill their tiles too.
//
// fprop: y = x w^T. dgrad: x = y w. wgrad: w = y^T x, in chunks of at most 4096 pixels, added in
// order, in groups of 16.
//
// NCHW puts channels on gemm_m and pixels on gemm_n, NHWC the reverse; wgrad has filters on gemm_m.
// Loads and stores take 16 bytes where each operand's contiguous axis is whole vectors and aligned.
// Main loop, shared memory, order of sums: gpu/gemm_tile.cuh. Block tiles: 128 pixels x 64
// channels, small 64 x 32; double 64 x 64; all give the same bits.
#pragma once

#include "gpu/output.cuh"
#include "ops/conv2d/gpu_geometry.cuh"

namespace ck {
namespace CK_GPU {
namespace pointwise {

// One index of a matrix: position i lies at i / length * outer + i % length * inner.
struct Axis {
  int64_t count;
  FastDivide length;
  int64_t outer, inner;
};

static inline Axis plain_axis(int64_t count, int64_t step) {
  return {count, fast_divide(count), 0, step};
}

// Positions start, start + 1, ... of an axis; 32-bit quotients after one of 64 bits.
struct AxisRun {
  int64_t base, left;
  uint32_t in_length;

  __device__ __forceinline__ bool holds(int i) const { return i < left; }
  __device__ __forceinline__ int64_t offset(const Axis& axis, int i) const {
    const uint32_t index = in_length + uint32_t(i), outer = axis.length.quotient(index);
    return base + outer * axis.outer + axis.length.remainder(index, outer) * axis.inner;
  }
};

static __device__ __forceinline__ AxisRun axis_run(const Axis& axis, int64_t start) {
  const int64_t outer = start / axis.length.divisor;
  return {outer * axis.outer, axis.count - start, uint32_t(start - outer * axis.length.divisor)};
}

template <class T>
struct Matrix {
  const T* data;
  int64_t group;  // from one group to the next
  Axis rows, columns;
};

template <class T>
struct Arguments {
  Matrix<T> a, b;  // columns of both run along gemm_k
  Output<T> out;
  int64_t out_group;
  Axis out_rows, out_columns;
  bool channels_on_columns;  // of the output: what bias belongs to
  uint32_t row_tiles, column_tiles, group_blocks;
  // gemm_k is cut into units of unit_k and these into unit_chunks chunks of chunk_k; the partial of
  // the i-th chunk of a launch lies at out.data + i * partial.
  int64_t first_chunk, unit_k, partial;
  int32_t unit_chunks, chunk_k;
};

template <class Tile, bool kAlongRows, int kRows, bool kVectorized>
struct LoadOf {
  using Type = LoadAlongColumns<Tile, kRows, kVectorized, false>;
};
template <class Tile, int kRows, bool kVectorized>
struct LoadOf<Tile, true, kRows, kVectorized> {
  using Type = LoadAlongRows<Tile, kRows, kVectorized, false>;
};

// What a block is to do. It stands in shared memory, as the main loop has no registers left for it.
struct BlockPlace {
  int64_t group, chunk, first_row, first_column;
  AxisRun columns_a, columns_b;
  int32_t gemm_k;
};

template <class Tile, class T>
static __device__ void describe_block(const Arguments<T>& args, BlockPlace& place_of_block) {
  const uint32_t chunk = blockIdx.x / args.group_blocks;
  uint32_t block = blockIdx.x - chunk * args.group_blocks;
  // Blocks that share pixels, the long axis, follow each other.
  const uint32_t inner_tiles = args.channels_on_columns ? args.column_tiles : args.row_tiles;
  const uint32_t outer_tiles = args.channels_on_columns ? args.row_tiles : args.column_tiles;
  const uint32_t inner = block % inner_tiles;
  block /= inner_tiles;
  const uint32_t outer = block % outer_tiles;
  place_of_block.chunk = chunk;
  place_of_block.group = block / outer_tiles;
  place_of_block.first_row = int64_t(args.channels_on_columns ? outer : inner) * Tile::kM;
  place_of_block.first_column = int64_t(args.channels_on_columns ? inner : outer) * Tile::kN;
  const int64_t chunk_index = args.first_chunk + chunk, unit = chunk_index / args.unit_chunks;
  const int64_t first_k =
      unit * args.unit_k + (chunk_index - unit * args.unit_chunks) * args.chunk_k;
  const int64_t unit_end = smaller((unit + 1) * args.unit_k, args.a.columns.count);
  // A unit shorter than the others may leave its last chunks empty.
  place_of_block.gemm_k =
      int(larger(smaller(unit_end - first_k, int64_t(args.chunk_k)), int64_t(0)));
  place_of_block.columns_a = axis_run(args.a.columns, first_k);
  place_of_block.columns_b = axis_run(args.b.columns, first_k);
}

static __device__ __forceinline__ Place row_place(const Axis& axis, int64_t start, int i) {
  const AxisRun run = axis_run(axis, start);
  return run.holds(i) ? place(run.offset(axis, i)) : outside();
}

template <class Tile, bool kAlongRowsA, bool kAlongRowsB, bool kVectorized>
__global__ void __launch_bounds__(Tile::kThreads, 2) product(Arguments<typename Tile::T> args) {
  using T = typename Tile::T;
  CK_SHARED(BlockPlace, mine, [1]);
  if (threadIdx.x == 0) describe_block<Tile>(args, mine[0]);
  __syncthreads();
  const BlockPlace& block = mine[0];

  T total[Tile::kThreadM][Tile::kThreadN];
  gemm_main_loop<Tile, typename LoadOf<Tile, kAlongRowsA, Tile::kM, kVectorized>::Type,
                 typename LoadOf<Tile, kAlongRowsB, Tile::kN, kVectorized>::Type>(
      Operand<T>{args.a.data + block.group * args.a.group, 1, 1},
      [&](int i) { return row_place(args.a.rows, block.first_row, i); },
      [&](int k) { return place(block.columns_a.offset(args.a.columns, k)); },
      Operand<T>{args.b.data + block.group * args.b.group, 1, 1},
      [&](int i) { return row_place(args.b.rows, block.first_column, i); },
      [&](int k) { return place(block.columns_b.offset(args.b.columns, k)); }, block.gemm_k, total);

  const AxisRun rows = axis_run(args.out_rows, block.first_row),
                columns = axis_run(args.out_columns, block.first_column);
  const int64_t base = block.group * args.out_group + block.chunk * args.partial;
  const int64_t first_channel = args.channels_on_columns
                                    ? block.group * args.out_columns.count + block.first_column
                                    : block.group * args.out_rows.count + block.first_row;
  for_each_result<Tile>(total, [&](int m, int n, const Pack<T, Tile::kVector>& pack) {
    const int64_t row = base + rows.offset(args.out_rows, m);
    const int64_t channel = first_channel + (args.channels_on_columns ? n : m);
    int64_t offset[Tile::kVector];
    bool inside[Tile::kVector];
#pragma unroll
    for (int i = 0; i < Tile::kVector; ++i) {
      inside[i] = rows.holds(m) && columns.holds(n + i);
      offset[i] = row + columns.offset(args.out_columns, n + i);
    }
    finish_pack(args.out, pack, offset, inside, channel, args.channels_on_columns ? 1 : 0);
  });
}

// The host's side. A pass over x images (im2col: over some of them) as a product.
struct Shape {
  Direction direction;
  bool channels_last;
  int64_t images, pixels;             // pixels of one image
  int64_t channels, filters, groups;  // of one group
  int64_t unit_images;                // wgrad: images whose chunks form a unit
};

static inline int64_t chunks_of(const Shape& shape) {
  const int64_t unit_pixels = smaller(shape.unit_images, shape.images) * shape.pixels;
  return shape.images == 0
             ? 1
             : ceil_div(shape.images, shape.unit_images) * ceil_div(unit_pixels, kChunkPixels);
}

// Chunks whose partials are in workspace at a time.
static inline int64_t chunks_at_once(const Shape& shape, int64_t element_bytes) {
  const int64_t partial = shape.groups * shape.filters * shape.channels;
  const int64_t by_grid =
      kGridLimit / (shape.groups * ceil_div(shape.filters, 32) * ceil_div(shape.channels, 64));
  const int64_t by_bytes = kPartialBytes / (partial * element_bytes);
  return smaller(chunks_of(shape), larger(smaller(by_bytes, by_grid), int64_t(1)));
}

// Workspace of a wgrad of `chunks` chunks, shape being all of it or its first part.
static inline int64_t partial_bytes(const Shape& shape, int64_t chunks, int64_t element_bytes) {
  if (shape.direction != Direction::kWgrad) return 0;
  return partial_places(chunks, chunks_at_once(shape, element_bytes)) * shape.groups *
         shape.filters * shape.channels * element_bytes;
}

static inline int64_t blocks_of(const Shape& shape, int64_t tile_channels, int64_t tile_pixels) {
  if (shape.direction == Direction::kWgrad)
    return shape.groups * ceil_div(shape.filters, tile_channels) *
           ceil_div(shape.channels, tile_pixels) * chunks_of(shape);
  return shape.groups * ceil_div(shape.images * shape.pixels, tile_pixels) *
         ceil_div(shape.direction == Direction::kFprop ? shape.filters : shape.channels,
                  tile_channels);
}

static inline Reason check_grid(const Shape& shape) {
  Shape once = shape;
  if (shape.direction == Direction::kWgrad)
    once.images = once.unit_images = 0;  // chunks are launched in parts
  const int64_t blocks = blocks_of(once, 32, 64);
  if (blocks > kGridLimit)
    return refused("the product makes %lld blocks, a grid holds %lld", (long long)blocks,
                   (long long)kGridLimit);
  return accepted();
}

template <class T>
struct Call {
  const char* name;
  void* stream;
  Shape shape;
  const T *x, *w, *y;
  Output<T> out;
  T* partials;
  // wgrad: the chunks before this part of the images and of all, and the room for partials.
  int64_t chunks_before, all_chunks, at_once;
};

template <class Tile, bool kAlongRowsA, bool kAlongRowsB, bool kVectorized>
void launch_product(const Call<typename Tile::T>& call, Arguments<typename Tile::T>& args) {
  using T = typename Tile::T;
  args.row_tiles = uint32_t(ceil_div(args.out_rows.count, Tile::kM));
  args.column_tiles = uint32_t(ceil_div(args.out_columns.count, Tile::kN));
  const int64_t blocks = int64_t(args.row_tiles) * args.column_tiles * call.shape.groups;
  args.group_blocks = uint32_t(blocks);
  const auto start = [&](int64_t chunks) {
    launch<product<Tile, kAlongRowsA, kAlongRowsB, kVectorized>>(
        call.name, dim3(unsigned(blocks * chunks)), dim3(Tile::kThreads), 0, call.stream, args);
  };
  if (call.shape.direction != Direction::kWgrad || call.all_chunks == 1) return start(1);
  T* const out = args.out.data;
  args.out.data = call.partials;
  const int64_t chunks = chunks_of(call.shape);
  for (int64_t chunk = 0; chunk < chunks; chunk += call.at_once) {
    const int64_t count = smaller(call.at_once, chunks - chunk),
                  number = call.chunks_before + chunk;
    args.first_chunk = chunk;
    start(count);
    launch_add_partials(call.name, call.stream, out, call.partials, args.partial, call.at_once,
                        {number, int(count), number + count == call.all_chunks});
  }
}

// kLayoutTiles: 0 channels on gemm_m, 1 pixels on gemm_m.
template <class T, int kLayoutTiles, bool kAlongRowsA, bool kAlongRowsB>
void choose_product(const Call<T>& call, Arguments<T>& args, bool vectorized) {
  using Choice = Tiles<T, kLayoutTiles == 1>;
  const int64_t channels = kLayoutTiles ? args.out_columns.count : args.out_rows.count;
  const bool small = channels <= kSmallChannels || blocks_of(call.shape, 64, 128) < kFewBlocks;
  if (small && vectorized)
    launch_product<typename Choice::Small, kAlongRowsA, kAlongRowsB, true>(call, args);
  else if (small)
    launch_product<typename Choice::Small, kAlongRowsA, kAlongRowsB, false>(call, args);
  else if (vectorized)
    launch_product<typename Choice::Large, kAlongRowsA, kAlongRowsB, true>(call, args);
  else
    launch_product<typename Choice::Large, kAlongRowsA, kAlongRowsB, false>(call, args);
}

template <class T>
void run(const Call<T>& call) {
  constexpr int kVector = kVectorBytes / int(sizeof(T));
  const Shape& s = call.shape;
  const bool last = s.channels_last;
  const int64_t all_channels = s.channels * s.groups, all_filters = s.filters * s.groups,
                count = s.images * s.pixels;
  const auto pixels_of = [&](int64_t depth) {
    return Axis{count, fast_divide(s.pixels), s.pixels * depth, last ? depth : 1};
  };
  const auto channels_of = [&](int64_t number) { return plain_axis(number, last ? 1 : s.pixels); };
  const int64_t x_group = s.channels * (last ? 1 : s.pixels),
                y_group = s.filters * (last ? 1 : s.pixels);
  const Matrix<T> x_by_pixel = {call.x, x_group, pixels_of(all_channels), channels_of(s.channels)};
  const Matrix<T> x_by_channel = {call.x, x_group, channels_of(s.channels),
                                  pixels_of(all_channels)};
  const Matrix<T> y_by_pixel = {call.y, y_group, pixels_of(all_filters), channels_of(s.filters)};
  const Matrix<T> y_by_filter = {call.y, y_group, channels_of(s.filters), pixels_of(all_filters)};
  const int64_t w_group = s.filters * s.channels;
  const Matrix<T> w_by_filter = {call.w, w_group, plain_axis(s.filters, s.channels),
                                 plain_axis(s.channels, 1)};
  const Matrix<T> w_by_channel = {call.w, w_group, plain_axis(s.channels, 1),
                                  plain_axis(s.filters, s.channels)};

  const bool whole_pixels = s.pixels % kVector == 0;
  const bool whole_channels = s.channels % kVector == 0, whole_filters = s.filters % kVector == 0;
  const bool aligned =
      is_vector_aligned(call.x) && is_vector_aligned(call.w) && is_vector_aligned(call.y);
  Arguments<T> args = {};
  args.out = call.out;
  args.channels_on_columns = last && s.direction != Direction::kWgrad;
  args.unit_chunks = 1;
  const bool aligned_out = is_vector_aligned(args.out.data) && is_vector_aligned(args.out.residual);
  if (s.direction == Direction::kFprop) {
    args.unit_k = s.channels;
    args.chunk_k = int32_t(s.channels);
    args.out_group = y_group;
    args.out.vectorized = aligned_out && (last ? whole_filters : whole_pixels);
    args.a = last ? x_by_pixel : w_by_filter;
    args.b = last ? w_by_filter : x_by_pixel;
    args.out_rows = last ? y_by_pixel.rows : y_by_filter.rows;
    args.out_columns = last ? y_by_filter.rows : y_by_pixel.rows;
    if (last)
      choose_product<T, 1, false, false>(call, args, aligned && whole_channels);
    else
      choose_product<T, 0, false, true>(call, args, aligned && whole_channels && whole_pixels);
  } else if (s.direction == Direction::kDgrad) {
    args.unit_k = s.filters;
    args.chunk_k = int32_t(s.filters);
    args.out_group = x_group;
    args.out.vectorized = aligned_out && (last ? whole_channels : whole_pixels);
    args.a = last ? y_by_pixel : w_by_channel;
    args.b = last ? w_by_channel : y_by_pixel;
    args.out_rows = last ? x_by_pixel.rows : x_by_channel.rows;
    args.out_columns = last ? x_by_channel.rows : x_by_pixel.rows;
    if (last)
      choose_product<T, 1, false, true>(call, args, aligned && whole_filters && whole_channels);
    else
      choose_product<T, 0, true, true>(call, args, aligned && whole_channels && whole_pixels);
  } else {
    const int64_t unit_pixels = smaller(s.unit_images, larger(s.images, int64_t(1))) * s.pixels;
    args.unit_k = unit_pixels;
    args.unit_chunks = int32_t(ceil_div(unit_pixels, kChunkPixels));
    args.chunk_k = int32_t(kChunkPixels);
    args.partial = w_group * s.groups;
    args.out_group = w_group;
    args.out.vectorized = whole_channels && is_vector_aligned(args.out.data);
    args.a = y_by_filter;
    args.b = x_by_channel;
    args.out_rows = w_by_filter.rows;
    args.out_columns = w_by_channel.rows;
    if (last)
      choose_product<T, 0, true, true>(call, args, aligned && whole_filters && whole_channels);
    else
      choose_product<T, 0, false, false>(call, args, aligned && whole_pixels);
  }
}

}  // namespace pointwise
}  // namespace CK_GPU
}  // namespace ck
