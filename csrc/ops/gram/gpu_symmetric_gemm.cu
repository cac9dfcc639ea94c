// gram.{fprop,dgrad}.symmetric_gemm, float32 and float64, NCHW and NHWC: G = F F^T and its gradient
// (dG + dG^T) F, on the main loop of gpu/gemm_tile.cuh.
// G is symmetric, so only block tiles at and below the diagonal are computed: 36 of 64 at C = 512.
// gemm_k is the pixels, which may be very many while tiles are few (C = 64 is one tile), so it is
// cut into chunks of 4096 pixels, each a block's work, with one partial G a chunk in workspace, at
// most 256 MiB at a time. `finish` adds the partials (gpu/output.cuh), divides by C*H*W and mirrors
// through a 32 x 33 shared tile, so that both halves are written in runs. The gradient first makes
// dG + dG^T in workspace, likewise by tiles, then is a plain product. Block tile 64 x 64; float:
// 128 threads of 8 x 4, double: 256 of 4 x 4. Loads take 16 bytes where each operand's contiguous
// axis is whole vectors and aligned. Order of each sum: as in the main loop; chunks of 4096 in
// order, in groups of 16. ptxas sm_80, 0 spills: lower_tiles 118-124, gradient 119-124, finish
// 61-70, add_transpose 46. Not run on a GPU.
#include "gpu/gemm_tile.cuh"
#include "gpu/output.cuh"
#include "ops/gram/problem.h"

namespace ck {
namespace CK_GPU {
namespace gram {
namespace {

constexpr int64_t kChunkPixels = 4096;
// Small on the host, so that small problems take several passes there.
#if defined(__CUDACC__)
constexpr int64_t kPartialBytes = int64_t(256) << 20;
#else
constexpr int64_t kPartialBytes = 128;
#endif
constexpr int64_t kGridLimit = (int64_t(1) << 31) - 1;
constexpr int kMirrorTile = 32, kMirrorRows = 8;

template <class T>
struct TileOf;
template <>
struct TileOf<float> {
  using Type = Tile<float, 2, 2, 8, 4>;
};
template <>
struct TileOf<double> {
  using Type = Tile<double, 4, 2, 4, 4>;
};

template <class Tile, bool kAlongRows, int kRows, bool kVectorized>
struct LoadOf {
  using Type = LoadAlongColumns<Tile, kRows, kVectorized, false>;
};
template <class Tile, int kRows, bool kVectorized>
struct LoadOf<Tile, true, kRows, kVectorized> {
  using Type = LoadAlongRows<Tile, kRows, kVectorized, false>;
};

// A matrix of which some rows and columns are looked at; one of the steps is 1.
struct View {
  int64_t rows, row_step, column_step;

  __device__ __forceinline__ Place row(int64_t first, int i) const {
    return first + i < rows ? place((first + i) * row_step) : outside();
  }
  __device__ __forceinline__ Place column(int k) const { return place(k * column_step); }
};

// Row and column of number `index` of a triangle's tiles, rows of 1, 2, 3 ... of them.
struct TriangleTile {
  uint32_t row, column;
};
static __device__ __forceinline__ TriangleTile triangle_tile(uint32_t index) {
  TriangleTile tile = {0, index};
  while (tile.column > tile.row) tile.column -= ++tile.row;
  return tile;
}

template <class T>
struct GramArguments {
  const T* x;
  T* partials;
  View features;  // channels x pixels
  int64_t pixels, image;
  int64_t first_chunk;
  uint32_t tiles, chunks;  // of one image
};

template <class Tile, bool kAlongRows, bool kVectorized>
__global__ void __launch_bounds__(Tile::kThreads, 512 / Tile::kThreads)
    lower_tiles(GramArguments<typename Tile::T> args) {
  using T = typename Tile::T;
  const uint32_t part = blockIdx.x / args.tiles, image = part / args.chunks;
  const TriangleTile tile = triangle_tile(blockIdx.x - part * args.tiles);
  const int64_t first_k = (args.first_chunk + (part - image * args.chunks)) * kChunkPixels;
  const int gemm_k = int(smaller(kChunkPixels, args.pixels - first_k));
  const int64_t row = int64_t(tile.row) * Tile::kM, column = int64_t(tile.column) * Tile::kN;
  const View view = args.features;
  const Operand<T> features = {args.x + image * args.image + first_k * view.column_step, 1, 1};
  using LoadA = typename LoadOf<Tile, kAlongRows, Tile::kM, kVectorized>::Type;
  using LoadB = typename LoadOf<Tile, kAlongRows, Tile::kN, kVectorized>::Type;

  T total[Tile::kThreadM][Tile::kThreadN];
  gemm_main_loop<Tile, LoadA, LoadB>(
      features, [&](int i) { return view.row(row, i); }, [&](int k) { return view.column(k); },
      features, [&](int i) { return view.row(column, i); }, [&](int k) { return view.column(k); },
      gemm_k, total);

  const int64_t c = view.rows;
  T* const partial = args.partials + int64_t(part) * c * c;
  for_each_result<Tile>(total, [&](int m, int n, const Pack<T, Tile::kVector>& pack) {
    if (row + m >= c) return;
#pragma unroll
    for (int i = 0; i < Tile::kVector; ++i) {
      if (column + n + i < c) partial[(row + m) * c + column + n + i] = pack.value[i];
    }
  });
}

template <class T>
struct FinishArguments {
  T* partials;  // of all images, then levels that wait
  T* out;
  int64_t c, divisor, at_once;
  uint32_t tiles;
  PartialPass pass;
};

// partials may be out itself where there is one chunk: a block reads what it alone will write.
template <class T>
__global__ void __launch_bounds__(kMirrorTile* kMirrorRows, 2) finish(FinishArguments<T> args) {
  CK_SHARED(T, shared, [kMirrorTile][kMirrorTile + 1]);
  const uint32_t image = blockIdx.x / args.tiles;
  const TriangleTile tile = triangle_tile(blockIdx.x - image * args.tiles);
  const int64_t row = int64_t(tile.row) * kMirrorTile, column = int64_t(tile.column) * kMirrorTile;
  const int64_t c = args.c;
  T* const partials = args.partials + int64_t(image) * args.pass.count * c * c;
  T* const out = args.out + int64_t(image) * c * c;
  const int lane = threadIdx.x % kMirrorTile, line = threadIdx.x / kMirrorTile;
  for (int i = line; i < kMirrorTile; i += kMirrorRows) {
    if (row + i >= c || column + lane > row + i) continue;
    const int64_t at = (row + i) * c + column + lane;
    T sum =
        add_pass(args.pass, partials + at, c * c, partials + args.at_once * c * c + at, out + at);
    if (args.pass.last) sum /= T(args.divisor);
    shared[i][lane] = sum;
    out[at] = sum;
  }
  if (!args.pass.last) return;
  __syncthreads();
  for (int i = line; i < kMirrorTile; i += kMirrorRows) {
    if (row + lane < c && column + i < row + lane)
      out[(column + i) * c + row + lane] = shared[lane][i];
  }
}

// sum = grad + grad^T, a pair of mirrored tiles a block.
template <class T>
__global__ void __launch_bounds__(kMirrorTile* kMirrorRows, 2)
    add_transpose(const T* __restrict__ grad, T* __restrict__ sum, int64_t c, uint32_t tiles) {
  CK_SHARED(T, lower, [kMirrorTile][kMirrorTile + 1]);
  CK_SHARED(T, upper, [kMirrorTile][kMirrorTile + 1]);
  const uint32_t image = blockIdx.x / tiles;
  const TriangleTile tile = triangle_tile(blockIdx.x - image * tiles);
  const int64_t row = int64_t(tile.row) * kMirrorTile, column = int64_t(tile.column) * kMirrorTile;
  const int64_t base = int64_t(image) * c * c;
  const int lane = threadIdx.x % kMirrorTile, line = threadIdx.x / kMirrorTile;
  for (int i = line; i < kMirrorTile; i += kMirrorRows) {
    if (row + i < c && column + lane < c)
      lower[i][lane] = grad[base + (row + i) * c + column + lane];
    if (column + i < c && row + lane < c)
      upper[i][lane] = grad[base + (column + i) * c + row + lane];
  }
  __syncthreads();
  for (int i = line; i < kMirrorTile; i += kMirrorRows) {
    if (row + i < c && column + lane < c)
      sum[base + (row + i) * c + column + lane] = lower[i][lane] + upper[lane][i];
    if (column + i < c && row + lane < c)
      sum[base + (column + i) * c + row + lane] = upper[i][lane] + lower[lane][i];
  }
}

template <class T>
struct GradientArguments {
  const T *a, *b;
  T* out;
  View rows, columns;  // of a (row, k), of b (column, k)
  int64_t a_image, b_image, out_image, divisor;
  int32_t gemm_k;
  uint32_t row_tiles, column_tiles;
  bool vectorized;  // stores
};

template <class Tile, bool kAlongRowsA, bool kVectorized>
__global__ void __launch_bounds__(Tile::kThreads, 512 / Tile::kThreads)
    gradient(GradientArguments<typename Tile::T> args) {
  using T = typename Tile::T;
  const uint32_t strip = blockIdx.x / args.row_tiles, image = strip / args.column_tiles;
  const int64_t row = int64_t(blockIdx.x - strip * args.row_tiles) * Tile::kM;
  const int64_t column = int64_t(strip - image * args.column_tiles) * Tile::kN;
  using LoadA = typename LoadOf<Tile, kAlongRowsA, Tile::kM, kVectorized>::Type;
  using LoadB = typename LoadOf<Tile, true, Tile::kN, kVectorized>::Type;

  T total[Tile::kThreadM][Tile::kThreadN];
  gemm_main_loop<Tile, LoadA, LoadB>(
      Operand<T>{args.a + image * args.a_image, 1, 1}, [&](int i) { return args.rows.row(row, i); },
      [&](int k) { return args.rows.column(k); }, Operand<T>{args.b + image * args.b_image, 1, 1},
      [&](int i) { return args.columns.row(column, i); },
      [&](int k) { return args.columns.column(k); }, args.gemm_k, total);

  const int64_t count = args.columns.rows;
  T* const out = args.out + image * args.out_image;
  for_each_result<Tile>(total, [&](int m, int n, const Pack<T, Tile::kVector>& pack) {
    if (row + m >= args.rows.rows || column + n >= count) return;
    Pack<T, Tile::kVector> scaled = pack;
#pragma unroll
    for (int i = 0; i < Tile::kVector; ++i) scaled.value[i] /= T(args.divisor);
    T* const to = out + (row + m) * count + column + n;
    if (args.vectorized) return store_pack<T, Tile::kVector>(to, scaled);
#pragma unroll
    for (int i = 0; i < Tile::kVector; ++i) {
      if (column + n + i < count) to[i] = scaled.value[i];
    }
  });
}

// The host's side.

int64_t triangle(int64_t side, int64_t tile) {
  const int64_t tiles = ceil_div(side, tile);
  return tiles * (tiles + 1) / 2;
}

template <class T>
Reason supports_type(const GramProblem& p, Direction direction) {
  using Tile = typename TileOf<T>::Type;
  const int64_t tiles = direction == Direction::kFprop
                            ? triangle(p.c, kMirrorTile)
                            : ceil_div(p.c, Tile::kM) * ceil_div(p.h * p.w, Tile::kN);
  const int64_t blocks = direction == Direction::kFprop ? tiles : larger(p.n, int64_t(1)) * tiles;
  if (p.c > INT32_MAX || blocks > kGridLimit) {
    return refused("the product makes %lld blocks, a grid holds %lld", (long long)blocks,
                   (long long)kGridLimit);
  }
  return accepted();
}

Reason supports(const GramProblem& p, Direction direction) {
  return p.dtype == DType::kFloat32 ? supports_type<float>(p, direction)
                                    : supports_type<double>(p, direction);
}

int64_t chunks_of(const GramProblem& p) { return ceil_div(p.h * p.w, kChunkPixels); }

// Chunks and images of one launch: all chunks of some images, or some chunks of one image.
struct Pass {
  int64_t chunks, images;
};
Pass pass_of(const GramProblem& p) {
  const int64_t fit = larger(kPartialBytes / (p.c * p.c * size_of(p.dtype)), int64_t(1));
  const int64_t grid = larger(kGridLimit / triangle(p.c, kMirrorTile), int64_t(1));
  const int64_t parts = smaller(fit, grid), chunks = chunks_of(p);
  if (chunks == 1) return {1, smaller(grid, p.n)};  // straight into out
  if (chunks > parts) return {parts, 1};
  return {chunks, smaller(parts / chunks, p.n)};
}

int64_t workspace_bytes(const GramProblem& p, Direction direction, int) {
  const int64_t matrix = p.c * p.c * size_of(p.dtype);
  if (direction == Direction::kDgrad) return p.n * matrix;
  const Pass pass = pass_of(p);
  return partial_places(chunks_of(p), pass.chunks) * pass.images * matrix;
}

template <class T>
View features_of(const GramProblem& p) {
  const bool nhwc = p.layout == Layout::kNHWC;
  return {p.c, nhwc ? 1 : p.h * p.w, nhwc ? p.c : 1};
}

template <class T, bool kAlongRows>
void launch_lower(const char* name, int64_t blocks, const GramArguments<T>& args, bool vectorized,
                  void* stream) {
  using Tile = typename TileOf<T>::Type;
  const dim3 grid{unsigned(blocks)}, block(Tile::kThreads);
  if (vectorized) {
    launch<lower_tiles<Tile, kAlongRows, true>>(name, grid, block, 0, stream, args);
  } else {
    launch<lower_tiles<Tile, kAlongRows, false>>(name, grid, block, 0, stream, args);
  }
}

template <class T>
void run_gram(const GramProblem& p, const GramArrays& arrays, const Execution& execution) {
  using Tile = typename TileOf<T>::Type;
  const char* const name =
      sizeof(T) == 4 ? "gram.fprop.symmetric_gemm.f32" : "gram.fprop.symmetric_gemm.f64";
  const bool nhwc = p.layout == Layout::kNHWC;
  const int64_t pixels = p.h * p.w, matrix = p.c * p.c, chunks = chunks_of(p);
  const int64_t tiles = triangle(p.c, Tile::kM), mirror_tiles = triangle(p.c, kMirrorTile);
  const Pass pass = pass_of(p);
  const T* const x = static_cast<const T*>(arrays.x);
  const bool vectorized = (nhwc ? p.c : pixels) % Tile::kVector == 0 && is_vector_aligned(x);
  for (int64_t image = 0; image < p.n; image += pass.images) {
    const int64_t images = smaller(pass.images, p.n - image);
    T* const out = static_cast<T*>(arrays.out) + image * matrix;
    T* const partials = chunks == 1 ? out : static_cast<T*>(execution.workspace);
    for (int64_t chunk = 0; chunk < chunks; chunk += pass.chunks) {
      const int64_t count = smaller(pass.chunks, chunks - chunk);
      const GramArguments<T> args = {
          x + image * p.c * pixels, partials,       features_of<T>(p), pixels, p.c * pixels, chunk,
          uint32_t(tiles),          uint32_t(count)};
      const int64_t blocks = images * count * tiles;
      if (nhwc) {
        launch_lower<T, true>(name, blocks, args, vectorized, execution.stream);
      } else {
        launch_lower<T, false>(name, blocks, args, vectorized, execution.stream);
      }
      const FinishArguments<T> rest = {partials,
                                       out,
                                       p.c,
                                       p.normalize ? p.c * pixels : 1,
                                       pass.chunks,
                                       uint32_t(mirror_tiles),
                                       {chunk, int(count), chunk + count == chunks}};
      launch<finish<T>>(name, dim3(unsigned(images * mirror_tiles)),
                        dim3(kMirrorTile * kMirrorRows), 0, execution.stream, rest);
    }
  }
}

template <class T, bool kAlongRowsA>
void launch_gradient(const GradientArguments<T>& args, int64_t images, bool vectorized,
                     void* stream) {
  using Tile = typename TileOf<T>::Type;
  const char* const name =
      sizeof(T) == 4 ? "gram.dgrad.symmetric_gemm.f32" : "gram.dgrad.symmetric_gemm.f64";
  const dim3 grid{unsigned(images * args.row_tiles * args.column_tiles)}, block(Tile::kThreads);
  if (vectorized) {
    launch<gradient<Tile, kAlongRowsA, true>>(name, grid, block, 0, stream, args);
  } else {
    launch<gradient<Tile, kAlongRowsA, false>>(name, grid, block, 0, stream, args);
  }
}

template <class T>
void run_gradient(const GramProblem& p, const GramArrays& arrays, const Execution& execution) {
  using Tile = typename TileOf<T>::Type;
  const bool nhwc = p.layout == Layout::kNHWC;
  const int64_t pixels = p.h * p.w, matrix = p.c * p.c, image = p.c * pixels;
  const T* const x = static_cast<const T*>(arrays.x);
  T* const sum = static_cast<T*>(execution.workspace);
  const int64_t mirror_tiles = triangle(p.c, kMirrorTile);
  const int64_t at_once = larger(kGridLimit / mirror_tiles, int64_t(1));
  for (int64_t first = 0; first < p.n; first += at_once) {
    launch<add_transpose<T>>("gram.dgrad.add_transpose",
                             dim3(unsigned(smaller(at_once, p.n - first) * mirror_tiles)),
                             dim3(kMirrorTile * kMirrorRows), 0, execution.stream,
                             static_cast<const T*>(arrays.grad) + first * matrix,
                             sum + first * matrix, p.c, uint32_t(mirror_tiles));
  }
  // The sum is symmetric, so it can be read along whichever axis the load likes: its rows.
  const View both = {p.c, 1, p.c};
  GradientArguments<T> args = {};
  args.out = static_cast<T*>(arrays.out);
  args.out_image = image;
  args.divisor = p.normalize ? image : 1;
  args.gemm_k = int32_t(p.c);
  if (nhwc) {
    args.a = x, args.a_image = image, args.rows = {pixels, p.c, 1};
    args.b = sum, args.b_image = matrix, args.columns = both;
  } else {
    args.a = sum, args.a_image = matrix, args.rows = both;
    args.b = x, args.b_image = image, args.columns = {pixels, 1, pixels};
  }
  args.row_tiles = uint32_t(ceil_div(args.rows.rows, Tile::kM));
  args.column_tiles = uint32_t(ceil_div(args.columns.rows, Tile::kN));
  const bool whole = p.c % Tile::kVector == 0 && (nhwc || pixels % Tile::kVector == 0);
  args.vectorized = whole && is_vector_aligned(args.out);
  const bool vectorized = whole && is_vector_aligned(x) && is_vector_aligned(sum);
  if (nhwc) {
    launch_gradient<T, false>(args, p.n, vectorized, execution.stream);
  } else {
    launch_gradient<T, true>(args, p.n, vectorized, execution.stream);
  }
}

void run(const GramProblem& p, Direction direction, const GramArrays& arrays,
         const Execution& execution) {
  if (p.n == 0) return;
  const bool single = p.dtype == DType::kFloat32;
  if (direction == Direction::kFprop) {
    (single ? run_gram<float> : run_gram<double>)(p, arrays, execution);
  } else {
    (single ? run_gradient<float> : run_gradient<double>)(p, arrays, execution);
  }
}

}  // namespace
}  // namespace gram

extern const GramKernel gram_symmetric_gemm;
const GramKernel gram_symmetric_gemm = {gram::supports, gram::workspace_bytes, gram::run};

}  // namespace CK_GPU
}  // namespace ck
