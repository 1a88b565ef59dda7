FROM alpine
ENV GREETING="grüß gott" EMOJI=🚀
RUN echo "日本語" > /tmp/ü
LABEL note="naïve"
