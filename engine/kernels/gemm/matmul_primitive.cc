#include "engine/kernels/gemm/matmul_primitive.h"

namespace lanthorn::kernels {
namespace {

using dnnl::memory;

const dnnl::engine& Cpu() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

// With scratch memory given by the caller, so that threads can share one primitive.
dnnl::matmul::primitive_desc Describe(const memory::desc& a, const memory::desc& b, const memory::desc& c) {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
#if DNNL_VERSION_MAJOR >= 3
  return dnnl::matmul::primitive_desc(Cpu(), a, b, c, attributes);
#else
  return dnnl::matmul::primitive_desc(dnnl::matmul::desc(a, b, c), attributes, Cpu());
#endif
}

memory::desc Dense(int64_t rows, int64_t columns, MatmulPrimitive::Type type) {
  return {{rows, columns}, type, memory::format_tag::ab};
}

}  // namespace

bool MatmulPrimitive::Supported(Type operands) {
  try {
    Describe(Dense(16, 16, operands), Dense(16, 16, operands), Dense(16, 16, Type::f32));
    return true;
  } catch (const dnnl::error&) {
    return false;
  }
}

MatmulPrimitive::MatmulPrimitive(Type operands, int64_t m, int64_t n, int64_t k, const void* b, int64_t ldc)
    : a_(Dense(m, k, operands)), c_({m, n}, Type::f32, memory::dims{ldc, 1}) {
  const memory::desc any({k, n}, operands, memory::format_tag::any);
  const dnnl::matmul::primitive_desc description = Describe(a_, any, c_);
  scratch_ = description.scratchpad_desc();
  product_ = dnnl::matmul(description);
  b_ = memory(description.weights_desc(), Cpu());
  memory given(Dense(k, n, operands), Cpu(), const_cast<void*>(b));
  dnnl::stream stream(Cpu());
  dnnl::reorder(given, b_).execute(stream, given, b_);
  stream.wait();
}

void MatmulPrimitive::Run(const void* a, float* c) const {
  dnnl::stream stream(Cpu());
  product_.execute(stream, {{DNNL_ARG_SRC, memory(a_, Cpu(), const_cast<void*>(a))},
                            {DNNL_ARG_WEIGHTS, b_},
                            {DNNL_ARG_DST, memory(c_, Cpu(), c)},
                            {DNNL_ARG_SCRATCHPAD, memory(scratch_, Cpu())}});
  stream.wait();
}

}  // namespace lanthorn::kernels
