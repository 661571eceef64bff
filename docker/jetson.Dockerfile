# SPDX-License-Identifier: Apache-2.0
# The node with TensorRT on a Jetson with JetPack 6. On the Jetson, from the checkout's root:
#
#   docker build -f docker/jetson.Dockerfile -t amodal_ros:jetson .
#   docker run --rm -it --runtime=nvidia --net=host --ipc=host -v "$PWD/engines:/engines" \
#     amodal_ros:jetson bash
#
# docs/jetson.md goes on from there: engines are built on the device that runs them.
#
# L4T_TAG: r36.4.0 holds CUDA 12.6 and TensorRT 10.3 (JetPack 6.1 and 6.2).
ARG L4T_TAG=r36.4.0
FROM nvcr.io/nvidia/l4t-jetpack:${L4T_TAG}

SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ENV DEBIAN_FRONTEND=noninteractive \
    LANG=C.UTF-8 \
    ROS_DISTRO=humble \
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
      "http://packages.ros.org/ros2/ubuntu jammy main" > /etc/apt/sources.list.d/ros2.list \
    && apt-get update \
    && apt-get install -y --no-install-recommends \
      python3-colcon-common-extensions \
      python3-pip \
      python3-rosdep \
      ros-humble-ros-base \
    && rosdep init \
    && rm -rf /var/lib/apt/lists/*

COPY package.xml src/amodal_ros/
COPY msg/package.xml src/amodal_ros/msg/
# Not from apt: NVIDIA's own OpenCV packages conflict with Ubuntu's python3-opencv. cuda-python of the
# image's CUDA 12 is what the TensorRT backend needs, onnx what the engine builder needs.
RUN apt-get update \
    && rosdep update --rosdistro humble \
    && rosdep install -y --rosdistro humble --ignore-src \
      --dependency-types=buildtool --dependency-types=build --dependency-types=exec \
      --skip-keys "python3-opencv python3-onnxruntime-pip" \
      --from-paths src/amodal_ros src/amodal_ros/msg \
    && pip3 install "cuda-python>=12.6,<13" "onnx>=1.15" "onnxruntime>=1.15" \
      "opencv-python-headless>=4.5.4" \
    && rm -rf /var/lib/apt/lists/*

COPY . src/amodal_ros/
# shellcheck source=/dev/null
RUN . /opt/ros/humble/setup.bash \
    && colcon build --base-paths src/amodal_ros src/amodal_ros/msg \
      --cmake-args -DBUILD_TESTING=OFF \
    && install -m 755 src/amodal_ros/docker/entrypoint.sh /amodal_entrypoint.sh \
    && rm -rf build log

ENTRYPOINT ["/amodal_entrypoint.sh"]
CMD ["ros2", "launch", "amodal_ros", "perception.launch.py"]
