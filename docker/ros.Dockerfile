# SPDX-License-Identifier: Apache-2.0
# The node on a CPU, in ROS's own images. From the checkout's root:
#
#   docker build -f docker/ros.Dockerfile --build-arg ROS_DISTRO=jazzy -t amodal_ros:jazzy .
#
# ROS_DISTRO: humble, jazzy, kilted or lyrical.
#   docker run --rm --net=host --ipc=host amodal_ros:jazzy \
#     ros2 launch amodal_ros perception.launch.py image_topic:=/camera/image_raw
#
# Host network and host IPC: DDS discovers by multicast and hands images over in shared memory.
ARG ROS_DISTRO=jazzy
FROM ros:${ROS_DISTRO}-ros-base

SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# onnxruntime (by rosdep), openvino and what reads recordings (no rosdep keys) come with pip, beside
# apt's Python packages.
ENV PIP_BREAK_SYSTEM_PACKAGES=1 \
    PIP_CONSTRAINT=/opt/amodal_ws/constraints.txt \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore

WORKDIR /opt/amodal_ws
COPY docker/constraints.txt ./
COPY package.xml src/amodal_ros/
COPY msg/package.xml src/amodal_ros/msg/
# Versions are those of the ROS distribution.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-pip \
    && rosdep update --rosdistro "$ROS_DISTRO" \
    && rosdep install -y --rosdistro "$ROS_DISTRO" --ignore-src --dependency-types=buildtool \
      --dependency-types=build --dependency-types=exec \
      --from-paths src/amodal_ros src/amodal_ros/msg \
    && pip3 install "openvino>=2024.4" "rosbags>=0.11" "mcap>=1.2.1" "mcap-ros2-support>=0.5.5" \
    && rm -rf /var/lib/apt/lists/*

COPY . src/amodal_ros/
# shellcheck source=/dev/null
RUN . "/opt/ros/$ROS_DISTRO/setup.bash" \
    && colcon build --base-paths src/amodal_ros src/amodal_ros/msg \
      --cmake-args -DBUILD_TESTING=OFF \
    && install -m 755 src/amodal_ros/docker/entrypoint.sh /amodal_entrypoint.sh \
    && rm -rf build log

ENTRYPOINT ["/amodal_entrypoint.sh"]
CMD ["ros2", "launch", "amodal_ros", "perception.launch.py"]
