FROM rust:1.79
WORKDIR /usr/src/tool
COPY Cargo.toml Cargo.lock ./
COPY src ./src
RUN cargo install --path . && rm -rf target
CMD ["tool", "--help"]
