# libretrace_cuda.so (model/cuda): opened by the program at run time, linked by nothing. nvcc, cudart and nccl.h come
# from RETRACE_CUDA_HOME, else from /usr/local/cuda, else from the packages that `scripts/setup --cuda` fetches. The
# language CUDA of CMake is not used: it does not know the packages' layout.
set(fetched ${RETRACE_DEPS}/cuda-13.0/nvidia)
if(DEFINED ENV{RETRACE_CUDA_HOME})
  set(RETRACE_CUDA_HOME "$ENV{RETRACE_CUDA_HOME}")
elseif(EXISTS ${fetched}/cu13/bin/nvcc)
  set(RETRACE_CUDA_HOME ${fetched}/cu13)
else()
  set(RETRACE_CUDA_HOME /usr/local/cuda)
endif()
find_program(RETRACE_NVCC nvcc PATHS ${RETRACE_CUDA_HOME}/bin NO_DEFAULT_PATH)
find_path(RETRACE_NCCL_INCLUDE nccl.h PATHS ${RETRACE_CUDA_HOME}/include ${fetched}/nccl/include NO_DEFAULT_PATH)
find_library(RETRACE_CUDART NAMES libcudart.so libcudart.so.13
  PATHS ${RETRACE_CUDA_HOME}/lib64 ${RETRACE_CUDA_HOME}/lib NO_DEFAULT_PATH)
set(te_include ${RETRACE_DEPS}/te-2.20.2/transformer_engine/common/include)
find_path(RETRACE_TE_INCLUDE transformer_engine/fused_attn.h PATHS ${te_include} NO_DEFAULT_PATH)
if(NOT RETRACE_TE_INCLUDE)
  message(FATAL_ERROR "Transformer Engine's headers are not in ${te_include}; scripts/setup --cuda fetches them")
endif()
if(NOT RETRACE_NVCC OR NOT RETRACE_NCCL_INCLUDE OR NOT RETRACE_CUDART)
  message(FATAL_ERROR "nvcc, libcudart or nccl.h is not in ${RETRACE_CUDA_HOME}; scripts/setup --cuda fetches them")
endif()

# A100 and H100 as machine code; what is newer compiles the H100's intermediate code when it starts.
set(architectures -gencode arch=compute_80,code=sm_80 -gencode arch=compute_90,code=[sm_90,compute_90])
set(kernels ${PROJECT_BINARY_DIR}/model_cuda_kernels.o)
add_custom_command(OUTPUT ${kernels}
  COMMAND ${RETRACE_NVCC} -std=c++20 -O3 --expt-relaxed-constexpr --extended-lambda --fmad=false ${architectures}
    -I ${PROJECT_SOURCE_DIR} -Xcompiler -fPIC,-Wall,-Wextra,-Werror -MD -MF ${kernels}.d
    -c ${PROJECT_SOURCE_DIR}/model/cuda/kernels.cu -o ${kernels}
  DEPENDS ${PROJECT_SOURCE_DIR}/model/cuda/kernels.cu DEPFILE ${kernels}.d VERBATIM)

add_library(retrace_cuda SHARED model/cuda/library.cpp model/cuda/nccl.cpp model/cuda/te.cpp ${kernels})
set_target_properties(retrace_cuda PROPERTIES CXX_VISIBILITY_PRESET hidden)
target_include_directories(retrace_cuda PRIVATE ${PROJECT_SOURCE_DIR})
target_include_directories(retrace_cuda SYSTEM PRIVATE ${RETRACE_NCCL_INCLUDE} ${RETRACE_CUDA_HOME}/include
  ${RETRACE_TE_INCLUDE})
if(NOT EXISTS ${RETRACE_CUDA_HOME}/include/cusparse.h)
  target_include_directories(retrace_cuda SYSTEM PRIVATE ${PROJECT_SOURCE_DIR}/scripts/cmake/cuda_handles)
endif()
target_compile_definitions(retrace_cuda PRIVATE USE_C10D_NCCL)
# Every symbol of ours must be found; what torch's own libraries need is theirs to find when they load.
if(RETRACE_BUNDLE)
  target_sources(retrace_cuda PRIVATE scripts/cmake/older_glibc.cpp)
  target_link_options(retrace_cuda PRIVATE -static-libstdc++)
endif()
target_link_options(retrace_cuda PRIVATE -Wl,-z,defs -Wl,--allow-shlib-undefined)
target_link_libraries(retrace_cuda PRIVATE retrace_flags torch::cpu
  ${RETRACE_TORCH_ROOT}/lib/libtorch_cuda.so ${RETRACE_TORCH_ROOT}/lib/libc10_cuda.so ${RETRACE_CUDART} dl)
