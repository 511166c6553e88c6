// SPDX-License-Identifier: Apache-2.0
// A view of numbers somewhere: type, dimensions, strides and address. Owns nothing.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>

#include "base/dtype.h"
#include "base/shape.h"

namespace minimax {

// A value type. The innermost dimension is contiguous; the others have strides in elements.
class Tensor {
 public:
  Tensor() = default;
  // Contiguous, row-major.
  Tensor(void* data, DType dtype, const Shape& shape) : data_(data), dtype_(dtype), shape_(shape) {
    int64_t step = 1;
    for (int i = shape.rank() - 1; i >= 0; --i) {
      stride_[static_cast<size_t>(i)] = step;
      step *= shape[i];
    }
  }
  // Weights lie in a read-only map: nobody writes to a tensor that was made from const data.
  Tensor(const void* data, DType dtype, const Shape& shape)
      : Tensor(const_cast<void*>(data), dtype, shape) {}

  bool empty() const { return data_ == nullptr || element_count() == 0; }
  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  int rank() const { return shape_.rank(); }
  int64_t dim(int i) const { return shape_[i]; }
  int64_t stride(int i) const { return stride_[static_cast<size_t>(i)]; }
  int64_t element_count() const {
    int64_t count = 1;
    for (int i = 0; i < rank(); ++i) count *= dim(i);
    return count;
  }
  size_t size_bytes() const { return static_cast<size_t>(element_count()) * size_of(dtype_); }
  bool contiguous() const {
    int64_t step = 1;
    for (int i = rank() - 1; i >= 0; --i) {
      if (dim(i) != 1 && stride(i) != step) return false;
      step *= dim(i);
    }
    return true;
  }

  void* raw() const { return data_; }
  template <typename T>
  T* data() const {
    assert(dtype_ == DTypeOf<T>::value);
    return static_cast<T*>(data_);
  }
  // The i-th slice along the first dimension.
  template <typename T>
  T* row(int64_t i) const {
    return data<T>() + i * stride(0);
  }

  // Rows [first, first + count) of the first dimension.
  Tensor rows(int64_t first, int64_t count) const {
    assert(first >= 0 && count >= 0 && first + count <= dim(0));
    Tensor out = *this;
    out.data_ =
        static_cast<std::byte*>(data_) + first * stride(0) * static_cast<int64_t>(size_of(dtype_));
    out.set_dim(0, count);
    return out;
  }
  // The i-th slice along the first dimension, of one rank less.
  Tensor at(int64_t i) const {
    assert(i >= 0 && i < dim(0) && rank() > 1);
    Tensor out;
    out.data_ =
        static_cast<std::byte*>(data_) + i * stride(0) * static_cast<int64_t>(size_of(dtype_));
    out.dtype_ = dtype_;
    int64_t dims[Shape::max_rank] = {};
    for (int d = 1; d < rank(); ++d) {
      dims[d - 1] = dim(d);
      out.stride_[static_cast<size_t>(d - 1)] = stride(d);
    }
    out.shape_ = Shape(std::span<const int64_t>(dims, static_cast<size_t>(rank() - 1)));
    return out;
  }
  // The same contiguous numbers under other dimensions.
  Tensor reshaped(const Shape& shape) const {
    assert(contiguous() && shape.element_count() == element_count());
    return {data_, dtype_, shape};
  }

 private:
  void set_dim(int i, int64_t value) {
    int64_t dims[Shape::max_rank] = {};
    for (int d = 0; d < rank(); ++d) dims[d] = d == i ? value : dim(d);
    shape_ = Shape(std::span<const int64_t>(dims, static_cast<size_t>(rank())));
  }

  void* data_ = nullptr;
  DType dtype_ = DType::f32;
  Shape shape_;
  std::array<int64_t, Shape::max_rank> stride_{};
};

}  // namespace minimax
