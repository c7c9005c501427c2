# session-lock-exporter, session-lock and stress in one image, and nothing else.
#
#   docker build -t session-lock .                      builds them first
#   docker build -t session-lock --target prebuilt \
#       -f Dockerfile DIRECTORY                         takes static ones from DIRECTORY/bin, beside an empty DIRECTORY/runs
#
# `cargo static` makes static ones. Runs as a user without rights; /runs is where a volume with run directories goes.

# First, because builders without BuildKit build every stage before the one that is asked for.
FROM scratch AS prebuilt
COPY bin /usr/local/bin/
COPY --chown=65532:65532 runs /runs/
USER 65532:65532
CMD ["session-lock-exporter", "--help"]

FROM rust:1.95.0-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo static \
    && mkdir -p /image/bin /image/runs \
    && for binary in session-lock-exporter session-lock stress; do \
           strip -o "/image/bin/$binary" target/*-linux-gnu/release/"$binary" || exit; \
       done

FROM scratch AS session-lock
COPY --from=build /image/bin /usr/local/bin/
COPY --from=build --chown=65532:65532 /image/runs /runs/
USER 65532:65532
CMD ["session-lock-exporter", "--help"]
