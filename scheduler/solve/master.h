// The linear program over the paths found so far: shares of paths, 1 in sum, that use no row beyond its limit, at the
// least cost. Its duals are the prices to try next. Internal to solve/.
#pragma once
#include <cstddef>
#include <vector>

namespace switchyard::scheduler {

class Master {
 public:
  // dearest: no price is higher; what a row is then overused is paid at it.
  Master(std::size_t rows, double dearest);

  // over: per row, what the path takes beyond the limit. The first path is where the simplex method begins.
  void add(double cost, const std::vector<double>& over);
  void solve();  // the primal simplex method, from where it was

  std::size_t size() const { return cost_.size(); }
  double value() const;
  double price(std::size_t row) const;
  double overpaid() const;  // what is paid for overuse
  void raise_dearest(double factor) { dearest_ *= factor; }
  double weight(std::size_t path) const;
  double steps() const { return steps_; }  // multiplications done

 private:
  // Columns by number: paths, then from `slack_` on a slack per row, then an overuse per row.
  static constexpr std::size_t slack = std::size_t{1} << 30, overuse = std::size_t{1} << 31;
  double cost_of(std::size_t column) const;
  double reduced(std::size_t column) const;
  void enter(std::size_t column, std::vector<double>& direction) const;
  void pivot(std::size_t row, std::size_t column, const std::vector<double>& direction);
  void price_all();

  std::size_t rows_, n_;  // n_: rows_ and the sum
  double dearest_;
  std::vector<double> cost_, over_;   // per path; [path * rows_ + row]
  std::vector<std::size_t> basis_;    // [n_]
  std::vector<double> inverse_, at_;  // [n_ * n_], [n_]: values of the basic columns
  std::vector<double> dual_;          // [n_]
  double steps_ = 0;
};

}  // namespace switchyard::scheduler
