#include "scheduler/run/sampler.h"

namespace switchyard::scheduler {

using namespace hal;

Result<std::unique_ptr<Sampler>> Sampler::make(DeviceRef device, std::int64_t vocab,
                                               const kernels::sampling::Attrs& attrs, std::uint64_t seed) {
  std::unique_ptr<Sampler> s(new Sampler(device, seed));
  kernels::SegmentBuilder b;
  const Dim one = Dim::open(kernels::sym_logits, 1, 1);
  auto logits = b.input(DType::f32, {one, Dim::fixed(vocab)});
  auto uniform = attrs.temperature > 0 ? b.input(DType::f32, {one}) : no_value;
  b.output(kernels::sampling::append(b, logits, uniform, attrs));
  Segment segment = b.take();
  Claim claim = device->claim(segment);
  if (!claim.whole())
    return Error{Code::unsupported, "sampling on " + device->info().id + ": " + claim.declined.front().why};
  HAL_TRY(s->run_.program, device->compile(segment, {}));
  s->run_.dims = {1, 1, 1};
  for (const auto* list : {&segment.inputs, &segment.outputs})
    for (auto v : *list) {
      const Bytes bytes = max_bytes(segment.values[v]);
      HAL_TRY(BufferRef buffer, device->allocate({bytes, Memory::shared, "sampling"}));
      s->run_.slices.push_back({buffer, 0, bytes});
    }
  if (Bytes need = s->run_.program->scratch()) {
    HAL_TRY(s->run_.scratch.buffer, device->allocate({need, Memory::device, "scratch"}));
    s->run_.scratch.bytes = need;
  }
  HAL_TRY(s->queue_, device->create_queue(QueueKind::any));
  HAL_TRY(s->timeline_, device->create_timeline(0));
  return s;
}

Result<std::int32_t> Sampler::sample(std::span<const float> logits) {
  HAL_CHECK(run_.slices.front().buffer->write(0, std::as_bytes(logits)));
  if (run_.slices.size() == 3) {
    float uniform = std::uniform_real_distribution<float>(0.0f, 1.0f)(random_);
    HAL_CHECK(run_.slices[1].buffer->write(0, std::as_bytes(std::span(&uniform, 1))));
  }
  HAL_CHECK(queue_->submit({{}, {run_}, {{timeline_, ++submitted_}}}));
  HAL_CHECK(timeline_->wait(submitted_, std::chrono::nanoseconds::max()));
  std::int32_t token = 0;
  HAL_CHECK(run_.slices.back().buffer->read(0, std::as_writable_bytes(std::span(&token, 1))));
  return token;
}

}  // namespace switchyard::scheduler
