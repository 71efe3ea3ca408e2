#include "backends/vulkan/program.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "backends/vulkan/device.h"

namespace switchyard::backends::vulkan {

using namespace hal;

Pipelines::~Pipelines() {
  const auto& vk = context_.vk;
  for (auto& [key, p] : pipelines_) {
    vk.vkDestroyPipeline(context_.device, p.handle, nullptr);
    vk.vkDestroyPipelineLayout(context_.device, p.layout, nullptr);
    vk.vkDestroyDescriptorSetLayout(context_.device, p.set, nullptr);
  }
  if (cache_) vk.vkDestroyPipelineCache(context_.device, cache_, nullptr);
}

std::string Pipelines::file(const std::string& folder) const {
  std::string name;
  for (std::uint8_t b : context_.found.pipeline_cache) {
    char two[3];
    std::snprintf(two, sizeof two, "%02x", b);
    name += two;
  }
  return folder + "/vulkan-" + name + ".bin";
}

void Pipelines::load(const std::string& folder) {
  std::lock_guard lock(mutex_);
  if (cache_) return;
  std::string data;
  if (!folder.empty()) {
    std::ifstream in(file(folder), std::ios::binary);
    data.assign(std::istreambuf_iterator<char>(in), {});
  }
  VkPipelineCacheCreateInfo info{VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO};
  info.initialDataSize = saved_bytes_ = data.size();
  info.pInitialData = data.data();
  // Without a cache everything works, only slower; the driver checks the data's header itself.
  if (context_.vk.vkCreatePipelineCache(context_.device, &info, nullptr, &cache_) != VK_SUCCESS)
    cache_ = VK_NULL_HANDLE;
}

void Pipelines::save(const std::string& folder) {
  std::lock_guard lock(mutex_);
  std::size_t size = 0;
  if (folder.empty() || !cache_ ||
      context_.vk.vkGetPipelineCacheData(context_.device, cache_, &size, nullptr) != VK_SUCCESS || size <= saved_bytes_)
    return;
  std::string data(size, '\0');
  if (context_.vk.vkGetPipelineCacheData(context_.device, cache_, &size, data.data()) != VK_SUCCESS) return;
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  const std::string to = file(folder), part = to + ".part";
  std::ofstream out(part, std::ios::binary);
  out.write(data.data(), static_cast<std::streamsize>(size));
  out.close();
  if (out) std::filesystem::rename(part, to, failed);
  if (!out || failed) {
    if (context_.host.log) context_.host.log(1, "vulkan: compiled kernels could not be kept in " + to);
    return;
  }
  saved_bytes_ = size;
}

Status Pipelines::check(const Launch& l) const {
  const Info& info = context_.info;
  auto refuse = [&](const std::string& what, std::uint64_t needs, std::uint64_t has) {
    return Error{Code::unsupported, "launch " + l.entry + " of node " + std::to_string(l.node) + ": " + what + " " +
                                        std::to_string(needs) + ", " + info.id + " has " + std::to_string(has)};
  };
  std::uint64_t threads = std::uint64_t{l.group[0]} * l.group[1] * l.group[2];
  if (threads > static_cast<std::uint64_t>(info.limits.group_threads))
    return refuse("workgroup of", threads, static_cast<std::uint64_t>(info.limits.group_threads));
  if (l.group_memory > info.limits.group_memory)
    return refuse("workgroup memory of", l.group_memory, info.limits.group_memory);
  if (l.arguments.size() > context_.found.bindings)
    return refuse("arguments:", l.arguments.size(), context_.found.bindings);
  if (max_symbols * 4 + l.args.size() > 128)
    return refuse("bytes of parameters:", max_symbols * 4 + l.args.size(), 128);
  const bool any_size = context_.found.has_extension(VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME);
  if (l.subgroup && (l.subgroup < static_cast<std::uint32_t>(info.limits.subgroup_min) ||
                     l.subgroup > static_cast<std::uint32_t>(info.limits.subgroup_max) ||
                     (!any_size && l.subgroup != static_cast<std::uint32_t>(info.limits.subgroup))))
    return refuse("subgroups of", l.subgroup, static_cast<std::uint64_t>(info.limits.subgroup));
  return ok();
}

Result<const Pipeline*> Pipelines::get(const Launch& launch) {
  HAL_CHECK(check(launch));
  Key key{launch.code.data(),
          launch.entry,
          launch.spec,
          static_cast<std::uint32_t>(launch.arguments.size()),
          static_cast<std::uint32_t>(max_symbols * 4 + launch.args.size()),
          launch.subgroup};
  std::lock_guard lock(mutex_);
  if (auto found = pipelines_.find(key); found != pipelines_.end()) return &found->second;
  Pipeline made;
  made.bindings = key.bindings;
  if (Status status = make(key, launch, made); !status) {
    if (made.layout) context_.vk.vkDestroyPipelineLayout(context_.device, made.layout, nullptr);
    if (made.set) context_.vk.vkDestroyDescriptorSetLayout(context_.device, made.set, nullptr);
    status.error().message += " (launch " + launch.entry + " of node " + std::to_string(launch.node) + ")";
    return std::move(status).error();
  }
  return &pipelines_.emplace(std::move(key), made).first->second;
}

Status Pipelines::make(const Key& key, const Launch& launch, Pipeline& p) {
  const auto& vk = context_.vk;
  std::vector<VkDescriptorSetLayoutBinding> bindings(key.bindings);
  for (std::uint32_t i = 0; i < key.bindings; ++i)
    bindings[i] = {i, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1, VK_SHADER_STAGE_COMPUTE_BIT, nullptr};
  VkDescriptorSetLayoutCreateInfo set{VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO};
  set.bindingCount = key.bindings;
  set.pBindings = bindings.data();
  VK_TRY(vk.vkCreateDescriptorSetLayout(context_.device, &set, nullptr, &p.set));
  VkPushConstantRange push{VK_SHADER_STAGE_COMPUTE_BIT, 0, key.push_bytes};
  VkPipelineLayoutCreateInfo layout{VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO};
  layout.setLayoutCount = 1;
  layout.pSetLayouts = &p.set;
  layout.pushConstantRangeCount = 1;
  layout.pPushConstantRanges = &push;
  VK_TRY(vk.vkCreatePipelineLayout(context_.device, &layout, nullptr, &p.layout));

  VkShaderModuleCreateInfo code{VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO};
  code.codeSize = launch.code.size();
  code.pCode = reinterpret_cast<const std::uint32_t*>(launch.code.data());
  VkShaderModule module = VK_NULL_HANDLE;
  VK_TRY(vk.vkCreateShaderModule(context_.device, &code, nullptr, &module));

  std::vector<VkSpecializationMapEntry> entries;
  for (std::uint32_t i = 0; i < key.spec.size(); ++i) entries.push_back({i, 4 * i, 4});
  VkSpecializationInfo spec{static_cast<std::uint32_t>(entries.size()), entries.data(), 4 * key.spec.size(),
                            key.spec.data()};
  VkPipelineShaderStageRequiredSubgroupSizeCreateInfoEXT subgroup{
      VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO_EXT};
  subgroup.requiredSubgroupSize = key.subgroup;
  VkComputePipelineCreateInfo info{VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO};
  info.stage.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO;
  info.stage.stage = VK_SHADER_STAGE_COMPUTE_BIT;
  info.stage.module = module;
  info.stage.pName = key.entry.c_str();
  info.stage.pSpecializationInfo = &spec;
  if (key.subgroup && context_.found.has_extension(VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME))
    info.stage.pNext = &subgroup;
  info.layout = p.layout;
  VkResult result = vk.vkCreateComputePipelines(context_.device, cache_, 1, &info, nullptr, &p.handle);
  vk.vkDestroyShaderModule(context_.device, module, nullptr);
  if (result != VK_SUCCESS) return error_of(result, "vkCreateComputePipelines", __FILE__, __LINE__);
  return ok();
}

namespace {

Result<BufferRef> upload(const std::shared_ptr<Context>& context, const LaunchPlan::Held& held) {
  const Bytes bytes = std::max<Bytes>((held.bytes + 3) / 4 * 4, 4);
  HAL_TRY(RawBuffer raw, make_raw(*context, {bytes, Memory::device, "weights"}));
  auto buffer = std::make_shared<VulkanBuffer>(context, raw, Memory::device);
  if (auto mapped = buffer->map()) {
    HAL_CHECK(held.write(*mapped));
    return BufferRef(buffer);
  }
  std::vector<std::byte> host(bytes);
  HAL_CHECK(held.write(host));
  HAL_CHECK(buffer->write(0, host));
  return BufferRef(buffer);
}

}  // namespace

Result<ProgramRef> VulkanProgram::make(std::shared_ptr<Context> context, const Segment& segment, Lowered lowered,
                                       const CompileOptions& options) {
  std::shared_ptr<VulkanProgram> p(new VulkanProgram(std::move(context)));
  Context& c = *p->context_;
  p->tensors_ = segment.values;
  p->tensors_.insert(p->tensors_.end(), lowered.temporaries.begin(), lowered.temporaries.end());
  HAL_TRY(p->plan_, LaunchPlan::make(segment, std::move(lowered), c.info.limits.align));
  const std::size_t steps = p->plan_.launches.size() + p->plan_.constants.size();
  std::size_t done = 0;
  auto step = [&]() -> Status {
    if (options.stop.stop_requested()) return Error{Code::unavailable, "compile: stopped by the caller"};
    if (options.progress) options.progress(static_cast<float>(++done) / static_cast<float>(steps));
    return ok();
  };
  c.pipelines.load(options.cache_dir);
  for (const Launch& l : p->plan_.launches) {
    if (l.format != Format::spirv_vulkan)
      return Error{Code::internal, "launch " + l.entry + " is " + to_string(l.format) + ", not spirv_vulkan"};
    HAL_TRY(const Pipeline* pipeline, c.pipelines.get(l));
    p->pipelines_.push_back(pipeline);
    HAL_CHECK(step());
  }
  c.pipelines.save(options.cache_dir);
  for (const LaunchPlan::Held& held : p->plan_.constants) {
    HAL_TRY(BufferRef buffer, c.constants.get(held.key, held.layout, [&] { return upload(p->context_, held); }));
    p->constants_.push_back(std::move(buffer));
    HAL_CHECK(step());
  }
  return ProgramRef(p);
}

VulkanProgram::~VulkanProgram() {
  for (Recording& r : recordings_) destroy(r);
}

Status VulkanProgram::check(const Run& run, Dims dims) const {
  if (run.dims.size() > max_symbols)
    return Error{Code::invalid_argument, "run: " + std::to_string(run.dims.size()) + " dims, at most " +
                                             std::to_string(max_symbols) + " symbols"};
  HAL_CHECK(plan_.check(run, dims));
  auto usable = [&](const Slice& s, const std::string& what) -> Status {
    if (s.buffer->owner() != context_->identity)
      return Error{Code::invalid_argument, "run: " + what + " is a buffer of another device"};
    if (s.offset % context_->info.limits.align)
      return Error{Code::invalid_argument, "run: " + what + " starts at " + std::to_string(s.offset) +
                                               ", not a multiple of " + std::to_string(context_->info.limits.align)};
    return ok();
  };
  for (std::size_t i = 0; i < run.slices.size(); ++i) HAL_CHECK(usable(run.slices[i], "slice " + std::to_string(i)));
  if (plan_.scratch) HAL_CHECK(usable(run.scratch, "scratch"));
  return ok();
}

Result<Recording*> VulkanProgram::acquire(const Run& run) {
  const auto dims = padded(run.dims);
  HAL_CHECK(check(run, dims));
  std::vector<std::uint64_t> key;
  auto add = [&](const Slice& s) {
    if (!s.buffer) return;
    key.push_back(static_cast<const VulkanBuffer&>(*s.buffer).serial());
    key.push_back(s.offset);
    key.push_back(s.size());
  };
  for (const Slice& s : run.slices) add(s);
  if (plan_.scratch) add(run.scratch);
  for (std::int64_t d : dims) key.push_back(static_cast<std::uint64_t>(d));

  std::lock_guard lock(mutex_);
  ++uses_;
  for (Recording& r : recordings_)
    if (!r.busy && r.key == key) {
      r.busy = true;
      r.last_use = uses_;
      return &r;
    }
  if (recordings_.size() >= kept_recordings) {
    auto oldest = recordings_.end();
    for (auto r = recordings_.begin(); r != recordings_.end(); ++r)
      if (!r->busy && (oldest == recordings_.end() || r->last_use < oldest->last_use)) oldest = r;
    if (oldest != recordings_.end()) {
      destroy(*oldest);
      recordings_.erase(oldest);
    }
  }
  HAL_TRY(Recording made, record(run, dims, VK_NULL_HANDLE, 0));
  made.key = std::move(key);
  made.busy = true;
  made.last_use = uses_;
  recordings_.push_back(std::move(made));
  return &recordings_.back();
}

void VulkanProgram::release(Recording* recording) {
  std::lock_guard lock(mutex_);
  recording->busy = false;
}

Result<Recording> VulkanProgram::record_timed(const Run& run, VkQueryPool queries, std::uint32_t first_query) {
  const auto dims = padded(run.dims);
  HAL_CHECK(check(run, dims));
  return record(run, dims, queries, first_query);
}

}  // namespace switchyard::backends::vulkan
