# SPDX-License-Identifier: Apache-2.0
# The node with TensorRT on a Jetson with JetPack 7. On the Jetson, from the checkout's root:
#
#   docker build -f docker/jetson7.Dockerfile -t amodal_ros:jetson .
#   docker run --rm -it --runtime=nvidia --net=host --ipc=host -v "$PWD/engines:/engines" \
#     amodal_ros:jetson bash
#
# docs/jetson.md goes on from there: engines are built on the device that runs them.
#
# From JetPack 7 on Jetsons run the containers of all ARM servers (SBSA); there is no image of
# L4T's own. TENSORRT_TAG: 25.09 holds Ubuntu 24.04, CUDA 13.0 and TensorRT 10.13.
ARG TENSORRT_TAG=25.09-py3
FROM nvcr.io/nvidia/tensorrt:${TENSORRT_TAG}

SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ENV DEBIAN_FRONTEND=noninteractive \
    LANG=C.UTF-8 \
    ROS_DISTRO=jazzy \
    PIP_BREAK_SYSTEM_PACKAGES=1 \
    PIP_CONSTRAINT=/opt/amodal_ws/constraints.txt \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore

WORKDIR /opt/amodal_ws
COPY docker/constraints.txt ./
ADD https://raw.githubusercontent.com/ros/rosdistro/master/ros.key \
    /usr/share/keyrings/ros-archive-keyring.gpg
# Versions are those of the ROS distribution.
# hadolint ignore=DL3008
RUN chmod 644 /usr/share/keyrings/ros-archive-keyring.gpg \
    && echo "deb [arch=arm64 signed-by=/usr/share/keyrings/ros-archive-keyring.gpg]" \
      "http://packages.ros.org/ros2/ubuntu noble main" > /etc/apt/sources.list.d/ros2.list \
    && apt-get update \
    && apt-get install -y --no-install-recommends \
      python3-colcon-common-extensions \
      python3-pip \
      python3-rosdep \
      ros-jazzy-ros-base \
    && rosdep init \
    && rm -rf /var/lib/apt/lists/*

COPY package.xml src/amodal_ros/
COPY msg/package.xml src/amodal_ros/msg/
# OpenCV is not from apt, as on JetPack 6. cuda-python of the image's CUDA 13 is what the TensorRT backend needs, onnx what the engine builder needs.
RUN apt-get update \
    && rosdep update --rosdistro jazzy \
    && rosdep install -y --rosdistro jazzy --ignore-src \
      --dependency-types=buildtool --dependency-types=build --dependency-types=exec \
      --skip-keys "python3-opencv python3-onnxruntime-pip" \
      --from-paths src/amodal_ros src/amodal_ros/msg \
    && pip3 install "cuda-python>=13,<14" "onnx>=1.15" "onnxruntime>=1.15" \
      "opencv-python-headless>=4.5.4" \
    && rm -rf /var/lib/apt/lists/*

COPY . src/amodal_ros/
# shellcheck source=/dev/null
RUN . /opt/ros/jazzy/setup.bash \
    && colcon build --base-paths src/amodal_ros src/amodal_ros/msg \
      --cmake-args -DBUILD_TESTING=OFF \
    && install -m 755 src/amodal_ros/docker/entrypoint.sh /amodal_entrypoint.sh \
    && rm -rf build log

ENTRYPOINT ["/amodal_entrypoint.sh"]
CMD ["ros2", "launch", "amodal_ros", "perception.launch.py"]
