// What the cpu kernels of adaptive pools walk: rows of the result, of any direction.
#pragma once

#include <cstdint>

#include "cpu/rows.h"
#include "cpu/tasks.h"
#include "ops/adaptive_pool2d/problem.h"

namespace ck {
namespace CK_ISA {
namespace {

// Rows of the result are made of rows of the source; `width` numbers make a pixel.
struct Grid {
  int64_t planes, width;
  int64_t rows, columns;                // of the result
  int64_t source_rows, source_columns;  // in fprop the image's, in dgrad those of grad_y
};

Grid grid_of(const AdaptivePool2dProblem& p, Direction direction) {
  const bool nhwc = p.layout == Layout::kNHWC;
  Grid g = {nhwc ? p.n : p.n * p.c, nhwc ? p.c : 1, p.p, p.q, p.h, p.w};
  if (direction == Direction::kDgrad) {
    g.rows = p.h, g.columns = p.w, g.source_rows = p.p, g.source_columns = p.q;
  }
  return g;
}

Span rows_of(const Grid& g, int64_t row) {
  const AdaptiveRange range = adaptive_range(row, g.source_rows, g.rows);
  return {range.begin, range.end};
}
int64_t most_rows(const Grid& g) { return largest_adaptive_range(g.source_rows, g.rows); }
int64_t most_columns(const Grid& g) { return largest_adaptive_range(g.source_columns, g.columns); }

// The source columns of each column of the result, and the columns of the result that each source
// column is part of. Tables: each entry costs two divisions.
void find_columns(const Grid& g, Span* columns) {
  for (int64_t j = 0; j < g.columns; ++j) {
    const AdaptiveRange range = adaptive_range(j, g.source_columns, g.columns);
    columns[j] = {range.begin, range.end};
  }
}
void find_holders(const Grid& g, Span* holders) {
  for (int64_t j = 0; j < g.source_columns; ++j) {
    const AdaptiveRange range = adaptive_range(j, g.columns, g.source_columns);
    holders[j] = {range.begin, range.end};
  }
}

// Calls body(plane, rows) for each part of the task's share of all rows that lies in one plane.
template <class Body>
void for_each_plane(const Grid& g, Span units, const Body& body) {
  for (int64_t unit = units.begin; unit < units.end;) {
    const int64_t plane = unit / g.rows, first = unit % g.rows;
    const int64_t end = min_of(g.rows, first + units.end - unit);
    body(plane, Span{first, end});
    unit += end - first;
  }
}

}  // namespace
}  // namespace CK_ISA
}  // namespace ck
