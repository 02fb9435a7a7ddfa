// Student's t distribution for the statistics of several seeds. An infinite number of degrees of freedom is the normal
// distribution.
#include <boost/math/distributions/students_t.hpp>
#include <cmath>

#include "bindings/runner/host.h"

namespace lanthorn::runner {
namespace {

// Arguments are checked here; results out of range become infinite, and nothing throws.
using Policy =
    boost::math::policies::policy<boost::math::policies::domain_error<boost::math::policies::ignore_error>,
                                  boost::math::policies::overflow_error<boost::math::policies::ignore_error>,
                                  boost::math::policies::pole_error<boost::math::policies::ignore_error>,
                                  boost::math::policies::evaluation_error<boost::math::policies::ignore_error>>;
using StudentT = boost::math::students_t_distribution<double, Policy>;

StudentT ReadDistribution(lua_State* L, int index) {
  const double freedom = luaL_checknumber(L, index);
  luaL_argcheck(L, freedom > 0, index, "degrees of freedom must be positive");
  return StudentT(freedom);
}

// student_t_quantile(p, freedom): the value below which a share p of the distribution lies, 0 < p < 1.
int Quantile(lua_State* L) {
  const double p = luaL_checknumber(L, 1);
  luaL_argcheck(L, p > 0 && p < 1, 1, "a probability between 0 and 1 is needed");
  lua_pushnumber(L, boost::math::quantile(ReadDistribution(L, 2), p));
  return 1;
}

// student_t_cdf(t, freedom): the share of the distribution below t.
int Cdf(lua_State* L) {
  const double t = luaL_checknumber(L, 1);
  luaL_argcheck(L, !std::isnan(t), 1, "a number is needed, got nan");
  lua_pushnumber(L, boost::math::cdf(ReadDistribution(L, 2), t));
  return 1;
}

constexpr luaL_Reg kFunctions[] = {{"student_t_quantile", Quantile}, {"student_t_cdf", Cdf}, {nullptr, nullptr}};

}  // namespace

void RegisterStudentT(lua_State* L) { luaL_register(L, nullptr, kFunctions); }

}  // namespace lanthorn::runner
