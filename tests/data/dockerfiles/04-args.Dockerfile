ARG DEBIAN=bookworm
FROM debian:${DEBIAN}-slim
ARG USER_ID=1000
ARG GROUP_ID=1000 EXTRA
RUN groupadd -g $GROUP_ID app && useradd -m -u $USER_ID -g app app
USER app
WORKDIR /home/app
