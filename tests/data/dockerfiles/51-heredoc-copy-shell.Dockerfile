FROM alpine
ENV NAME=x
COPY <<EOF /etc/motd
now $(date) and `id` of $NAME, ${NAME}, ${NAME:-none ${OTHER:+$NAME}} for 5$ or $1x
a \$NAME, a \`, a \\, a \n and a "quote"
${NAME#a\}b} ${NAME%%*} ${NAME/x\/y/z} ${NAME//x/y\}} ${NAME-a\}b}
EOF
COPY <<'EOF' /etc/raw
$(date) `id` \$NAME
EOF
