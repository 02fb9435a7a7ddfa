-- Whether the OpenBLAS beside LibTorch computes right on this CPU: products of odd shapes against sums in double
-- precision. It loads the library by itself, without LibTorch, and so belongs in a process of its own.
local ffi = require 'ffi'
local host = require 'host'
local keep_loaded = require 'base.keep_loaded'

local self_test = {}

ffi.cdef [[
char* openblas_get_config(void);
void cblas_sgemm(int, int, int, int, int, int, float, const float*, int, const float*, int, float, float*, int);
void cblas_dgemm(int, int, int, int, int, int, double, const double*, int, const double*, int, double, double*, int);
void cblas_sgemv(int, int, int, int, float, const float*, int, const float*, int, float, float*, int);
void cblas_dgemv(int, int, int, int, double, const double*, int, const double*, int, double, double*, int);
float cblas_sdot(int, const float*, int, const float*, int);
double cblas_ddot(int, const double*, int, const double*, int);
void cblas_saxpy(int, float, const float*, int, float*, int);
void cblas_daxpy(int, double, const double*, int, double*, int);
]]

local ROW_MAJOR = 101
local TRANSPOSE = { [false] = 111, [true] = 112 }
-- m, n, k: below, at and beyond the widths of vectors and of blocks.
local SHAPES = { { 1, 1, 1 }, { 3, 5, 7 }, { 16, 16, 16 }, { 17, 33, 65 }, { 48, 65, 31 }, { 129, 63, 130 },
  { 2, 257, 100 }, { 200, 3, 193 } }
local KINDS = {
  { c = 'float', gemm = 'cblas_sgemm', gemv = 'cblas_sgemv', dot = 'cblas_sdot', axpy = 'cblas_saxpy',
    epsilon = 2 ^ -23 },
  { c = 'double', gemm = 'cblas_dgemm', gemv = 'cblas_dgemv', dot = 'cblas_ddot', axpy = 'cblas_daxpy',
    epsilon = 2 ^ -52 },
}

-- Numbers in [-1, 1), the same everywhere.
local state = 1
local function filled(c, count)
  local array = ffi.new(c .. '[?]', count)
  for i = 0, count - 1 do
    state = (state * 69069 + 1) % 2 ^ 32
    array[i] = state / 2 ^ 31 - 1
  end
  return array
end

-- Rounding of a sum of k products below 1, with room for the order of the sum.
local function close(got, wanted, k, epsilon) return math.abs(got - wanted) <= 4 * (k + 2) * epsilon end

local function gemm_fault(library, kind, shape, ta, tb)
  local m, n, k = shape[1], shape[2], shape[3]
  local a, b, c = filled(kind.c, m * k), filled(kind.c, k * n), filled(kind.c, m * n)
  local before = ffi.new('double[?]', m * n)
  for i = 0, m * n - 1 do before[i] = c[i] end
  library[kind.gemm](ROW_MAJOR, TRANSPOSE[ta], TRANSPOSE[tb], m, n, k, 0.5, a, ta and m or k, b, tb and k or n,
    0.25, c, n)
  local a_row, a_column = ta and 1 or k, ta and m or 1
  local b_row, b_column = tb and 1 or n, tb and k or 1
  for i = 0, m - 1 do
    for j = 0, n - 1 do
      local sum = 0.0
      for p = 0, k - 1 do sum = sum + tonumber(a[i * a_row + p * a_column]) * tonumber(b[p * b_row + j * b_column]) end
      local wanted = 0.5 * sum + 0.25 * before[i * n + j]
      if not close(c[i * n + j], wanted, k, kind.epsilon) then
        return ('%s of %d x %d x %d: %.9g at (%d, %d), right is %.9g'):format(kind.gemm, m, n, k, c[i * n + j], i, j,
          wanted)
      end
    end
  end
end

local function gemv_fault(library, kind, shape, transposed)
  local m, n = shape[1], shape[3]
  local rows, sums = transposed and n or m, transposed and m or n
  local a, x, y = filled(kind.c, m * n), filled(kind.c, sums), filled(kind.c, rows)
  local before = ffi.new('double[?]', rows)
  for i = 0, rows - 1 do before[i] = y[i] end
  library[kind.gemv](ROW_MAJOR, TRANSPOSE[transposed], m, n, 0.5, a, n, x, 1, 0.25, y, 1)
  for i = 0, rows - 1 do
    local sum = 0.0
    for p = 0, sums - 1 do sum = sum + tonumber(transposed and a[p * n + i] or a[i * n + p]) * tonumber(x[p]) end
    local wanted = 0.5 * sum + 0.25 * before[i]
    if not close(y[i], wanted, sums, kind.epsilon) then
      return ('%s of %d x %d: %.9g at %d, right is %.9g'):format(kind.gemv, m, n, y[i], i, wanted)
    end
  end
end

local function vector_fault(library, kind, count)
  local x, y = filled(kind.c, count), filled(kind.c, count)
  local sum, before = 0.0, ffi.new('double[?]', count)
  for i = 0, count - 1 do
    sum = sum + tonumber(x[i]) * tonumber(y[i])
    before[i] = y[i]
  end
  local dot = library[kind.dot](count, x, 1, y, 1)
  if not close(dot, sum, count, kind.epsilon) then
    return ('%s of %d: %.9g, right is %.9g'):format(kind.dot, count, dot, sum)
  end
  library[kind.axpy](count, 0.5, x, 1, y, 1)
  for i = 0, count - 1 do
    local wanted = before[i] + 0.5 * x[i]
    if not close(y[i], wanted, 1, kind.epsilon) then
      return ('%s of %d: %.9g at %d, right is %.9g'):format(kind.axpy, count, y[i], i, wanted)
    end
  end
end

---The first wrong result of a library, or nil.
---@param library table of ffi.load, or functions of the same names
---@return string?
function self_test.fault(library)
  state = 1
  for _, kind in ipairs(KINDS) do
    for _, shape in ipairs(SHAPES) do
      for _, ta in ipairs { false, true } do
        local found = gemv_fault(library, kind, shape, ta) or gemm_fault(library, kind, shape, ta, false)
          or gemm_fault(library, kind, shape, ta, true)
        if found then return found end
      end
    end
    for _, count in ipairs { 1, 7, 32, 129, 1000 } do
      local found = vector_fault(library, kind, count)
      if found then return found end
    end
  end
  return nil
end

---Loads OpenBLAS and tests it.
---@return string core such as "Haswell"
---@return string? fault
function self_test.run()
  local library = ffi.load(host.openblas)
  keep_loaded(host.openblas) -- and its OpenMP, under the threads of it
  local core = ffi.string(library.openblas_get_config()):match '(%S+) MAX_THREADS' or 'unknown'
  return core, self_test.fault(library)
end

return self_test
