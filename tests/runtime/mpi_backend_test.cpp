// Run by mpirun; every rank runs every test.

#include "runtime/mpi_backend.h"

#include <chrono>
#include <cmath>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/core/ivalue.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/distributed/c10d/Backend.hpp>

#include "runtime/communicator.h"
#include "tests/runtime/mpi_session.h"

namespace limewash {
namespace {

using testing::AllOf;
using testing::HasSubstr;

/// A backend for one test, ended as a program has to.
class MpiBackend : public testing::Test {
 protected:
  void TearDown() override {
    backend->shutdown();
  }

  at::Tensor all_reduced(at::Tensor tensor, c10d::ReduceOp operation = c10d::ReduceOp::SUM) {
    std::vector<at::Tensor> tensors{tensor};
    c10d::AllreduceOptions options;
    options.reduceOp = operation;
    EXPECT_TRUE(backend->allreduce(tensors, options)->wait());
    return tensor;
  }

  c10::intrusive_ptr<c10d::Backend> backend = make_mpi_backend(*mpi_session);
  const int rank = backend->getRank();
  const int size = backend->getSize();
};

// Numbers of many magnitudes, so that another order of the sum would show.
at::Tensor values_of(int rank, int64_t count, at::ScalarType type) {
  const auto values = at::arange(count, at::kDouble).add(rank).sin().mul_(rank + 0.1).exp_();
  return (at::isIntegralType(type, /*includeBool=*/true) ? values.mul(10) : values).to(type);
}

std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  }
  return "no error";
}

TEST_F(MpiBackend, KnowsItsRanks) {
  const auto world = mpi_session->world();
  EXPECT_EQ(rank, world->rank());
  EXPECT_EQ(size, world->size());
  EXPECT_EQ(backend->getBackendName(), "mpi");
}

TEST_F(MpiBackend, SumsByRankInDoubleAndRoundsOnce) {
  for (const auto type : {at::kFloat, at::kDouble, at::kHalf, at::kBFloat16}) {
    for (const int64_t count : {0, 1, 2, 3, 4, 10007}) {
      at::Tensor expected = at::zeros({count}, at::kDouble);
      for (int r = 0; r < size; ++r) expected.add_(values_of(r, count, type).to(at::kDouble));
      EXPECT_TRUE(all_reduced(values_of(rank, count, type)).equal(expected.to(type)))
          << type << ' ' << count;
      EXPECT_TRUE(all_reduced(values_of(rank, count, type), c10d::ReduceOp::AVG)
                      .equal(expected.div(size).to(type)))
          << type << ' ' << count;
    }
  }
}

TEST_F(MpiBackend, SumsAsTheCommunicatorDoes) {
  // Beyond a slice of the reduction.
  constexpr int64_t kCount = (1 << 22) + 5;
  const auto world = mpi_session->world();
  at::Tensor expected = values_of(rank, kCount, at::kFloat);
  world->all_reduce_sum(expected);
  EXPECT_TRUE(all_reduced(values_of(rank, kCount, at::kFloat)).equal(expected));
}

TEST_F(MpiBackend, ReducesIntegersAndChoosesExtremes) {
  for (const auto type :
       {at::kInt, at::kLong, at::kShort, at::kByte, at::kChar, at::kBool, at::kFloat, at::kHalf}) {
    at::Tensor sum = values_of(0, 100, type), most = sum.clone(), least = sum.clone();
    for (int r = 1; r < size; ++r) {
      const auto values = values_of(r, 100, type);
      sum.add_(values);
      most = at::maximum(most, values);
      least = at::minimum(least, values);
    }
    const auto own = values_of(rank, 100, type);
    if (at::isIntegralType(type, /*includeBool=*/true)) {
      EXPECT_TRUE(all_reduced(own.clone()).equal(sum)) << type;
    }
    EXPECT_TRUE(all_reduced(own.clone(), c10d::ReduceOp::MAX).equal(most)) << type;
    EXPECT_TRUE(all_reduced(own.clone(), c10d::ReduceOp::MIN).equal(least)) << type;
  }
  at::Tensor spoilt = at::full({3}, static_cast<float>(rank));
  if (rank == 1) spoilt[1] = NAN;
  EXPECT_TRUE(
      all_reduced(spoilt, c10d::ReduceOp::MAX).isnan().equal(at::tensor({0, 1, 0}).to(at::kBool)));
}

TEST_F(MpiBackend, BroadcastsAndGathers) {
  for (int root = 0; root < size; ++root) {
    std::vector<at::Tensor> tensors{values_of(rank, 1001, at::kFloat).view({7, 143})};
    c10d::BroadcastOptions options;
    options.rootRank = root;
    backend->broadcast(tensors, options)->wait();
    EXPECT_TRUE(tensors[0].flatten().equal(values_of(root, 1001, at::kFloat)));
  }
  // Beyond a slice of the copy.
  for (const int64_t count : {0, 3, (1 << 20) + 7}) {
    std::vector<at::Tensor> inputs{values_of(rank, count, at::kFloat)};
    std::vector<std::vector<at::Tensor>> outputs(1);
    for (int r = 0; r < size; ++r) outputs[0].push_back(at::empty({count}));
    backend->allgather(outputs, inputs)->wait();
    at::Tensor flat = at::empty({size * count});
    backend->_allgather_base(flat, inputs[0])->wait();
    for (int r = 0; r < size; ++r) {
      const auto expected = values_of(r, count, at::kFloat);
      EXPECT_TRUE(outputs[0][static_cast<size_t>(r)].equal(expected));
      EXPECT_TRUE(flat.narrow(0, r * count, count).equal(expected));
    }
  }
}

TEST_F(MpiBackend, CompletesAWorkWhenItIsDoneAndNotBefore) {
  std::vector<at::Tensor> tensors{at::full({2}, rank + 1.0)};
  const auto world = mpi_session->world();
  if (rank == 0) {
    // The others wait for rank 0's word below before they call.
    const auto work = backend->allreduce(tensors);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_FALSE(work->isCompleted());
    EXPECT_ANY_THROW(work->result());
    EXPECT_FALSE(work->getFuture()->completed());
    world->barrier();
    EXPECT_TRUE(work->wait());
    EXPECT_TRUE(work->isCompleted());
    EXPECT_TRUE(work->isSuccess());
    work->getFuture()->wait();
    EXPECT_TRUE(work->result().at(0).is_same(tensors[0]));
  } else {
    world->barrier();
    backend->allreduce(tensors)->wait();
  }
  EXPECT_TRUE(tensors[0].equal(at::full({2}, size * (size + 1) / 2.0)));
}

TEST_F(MpiBackend, IsCompleteForTheCallbacksOfItsFuture) {
  std::vector<at::Tensor> tensors{at::ones({2})};
  const auto work = backend->allreduce(tensors);
  const auto after = work->getFuture()->then(
      [&](const c10::ivalue::Future&) {
        return c10::IValue(work->isCompleted() && work->wait() && work->result().size() == 1);
      },
      c10::BoolType::get());
  after->wait();
  EXPECT_TRUE(after->value().toBool());
}

TEST_F(MpiBackend, GivesUpWaitingAfterATime) {
  std::vector<at::Tensor> tensors{at::ones({2})};
  const auto world = mpi_session->world();
  if (rank == 0) {
    const auto work = backend->allreduce(tensors);
    EXPECT_ANY_THROW(work->wait(std::chrono::milliseconds(20)));
    world->barrier();
    EXPECT_TRUE(work->wait());
  } else {
    world->barrier();
    backend->allreduce(tensors)->wait();
  }
}

TEST_F(MpiBackend, RunsManyCallsInTheirOrder) {
  at::Tensor value = at::ones({1}, at::kDouble);
  std::vector<at::Tensor> tensors{value};
  std::vector<c10::intrusive_ptr<c10d::Work>> works;
  for (int i = 0; i < 20; ++i) works.push_back(backend->allreduce(tensors));
  works.back()->wait();
  for (const auto& work : works) EXPECT_TRUE(work->isCompleted());
  EXPECT_EQ(value.item<double>(), std::pow(size, 20));
}

TEST_F(MpiBackend, BarrierWaitsForEveryRank) {
  const auto world = mpi_session->world();
  if (rank == 0) {
    const auto work = backend->barrier();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_FALSE(work->isCompleted());
    world->barrier();
    work->wait();
  } else {
    world->barrier();
    backend->barrier()->wait();
  }
}

TEST_F(MpiBackend, FailsOnEveryRankWhereRanksDisagree) {
  std::vector<at::Tensor> sizes{at::zeros({4 + rank})};
  EXPECT_THAT(error_of([&] { backend->allreduce(sizes)->wait(); }),
              AllOf(HasSubstr("ALLREDUCE"), HasSubstr("disagree about size")));
  std::vector<at::Tensor> types{at::zeros({4}, rank == 0 ? at::kFloat : at::kDouble)};
  EXPECT_THAT(error_of([&] { backend->allreduce(types)->wait(); }),
              HasSubstr("disagree about type"));
  std::vector<at::Tensor> same{at::zeros({4})};
  const auto work = rank == 0 ? backend->allreduce(same) : backend->broadcast(same);
  EXPECT_THAT(error_of([&] { work->wait(); }), HasSubstr("disagree about the operation"));
  EXPECT_FALSE(work->isSuccess());
  EXPECT_TRUE(work->getFuture()->hasError());
  // And goes on.
  EXPECT_TRUE(all_reduced(at::ones({2})).equal(at::full({2}, float(size))));
}

TEST_F(MpiBackend, NamesWhatItDoesNotHave) {
  const auto reduced = [&](const at::Tensor& tensor, c10d::ReduceOp operation) {
    return error_of([&] { all_reduced(tensor, operation); });
  };
  EXPECT_THAT(reduced(at::ones({2}, at::kComplexFloat), c10d::ReduceOp::SUM),
              AllOf(HasSubstr("mpi allreduce"), HasSubstr("ComplexFloat")));
  EXPECT_THAT(reduced(at::ones({2}, at::kInt), c10d::ReduceOp::AVG),
              AllOf(HasSubstr("average"), HasSubstr("Int")));
  EXPECT_THAT(reduced(at::ones({2}), c10d::ReduceOp::PRODUCT), HasSubstr("expected SUM"));
  EXPECT_THAT(reduced(at::ones({2, 3}).t(), c10d::ReduceOp::SUM), HasSubstr("contiguous"));
  EXPECT_THAT(reduced(at::ones({2}, at::kMeta), c10d::ReduceOp::SUM), HasSubstr("meta"));
  EXPECT_THAT(reduced(at::Tensor(), c10d::ReduceOp::SUM), HasSubstr("defined"));
  std::vector<at::Tensor> two{at::ones({2}), at::ones({2})}, one{at::ones({2})};
  EXPECT_THAT(error_of([&] { backend->allreduce(two); }), HasSubstr("one tensor in a call, got 2"));
  c10d::BroadcastOptions outside;
  outside.rootRank = size;
  EXPECT_THAT(error_of([&] { backend->broadcast(one, outside); }), HasSubstr("root"));
  std::vector<std::vector<at::Tensor>> short_list{{at::empty({2})}};
  EXPECT_THAT(error_of([&] { backend->allgather(short_list, one); }), HasSubstr("allgather"));
  at::Tensor small = at::empty({2});
  EXPECT_THAT(error_of([&] { backend->_allgather_base(small, one[0]); }),
              AllOf(HasSubstr("_allgather_base"), HasSubstr("got 2 of Float")));
  EXPECT_THAT(error_of([&] { backend->send(one, 0, 0); }), HasSubstr("mpi does not support send"));
}

TEST(MpiBackendEnd, CompletesWhatWasCalledAndTakesNothingMore) {
  const auto backend = make_mpi_backend(*mpi_session);
  std::vector<at::Tensor> tensors{at::ones({1000})};
  const auto work = backend->allreduce(tensors);
  backend->shutdown();
  EXPECT_TRUE(work->isCompleted());
  EXPECT_TRUE(tensors[0].equal(at::full({1000}, float(backend->getSize()))));
  EXPECT_THAT(error_of([&] { backend->allreduce(tensors); }), HasSubstr("shut down"));
  backend->shutdown();
}

TEST(MpiBackendEnd, DropsWhatHasNotBegunWhereNobodyShutItDown) {
  // As in the unwinding of an error: the destructor must not wait for a peer.
  auto backend = make_mpi_backend(*mpi_session);
  const auto world = mpi_session->world();
  std::vector<at::Tensor> tensors{at::ones({8})};
  if (backend->getRank() == 0) {
    const auto begun = backend->allreduce(tensors);
    const auto dropped = backend->allreduce(tensors);
    // Until the first has begun.
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    backend.reset();
    EXPECT_THAT([&] { dropped->wait(); }, testing::Throws<std::exception>());
    EXPECT_FALSE(begun->isCompleted());
    // The peers come after all, so that the test's thread ends before MPI does.
    world->barrier();
    begun->wait();
  } else {
    world->barrier();
    backend->allreduce(tensors)->wait();
  }
  world->barrier();
}

}  // namespace
}  // namespace limewash
