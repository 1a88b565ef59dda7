FROM alpine
ENV NAME=x
COPY <<greeting <<other /etc/
hello $NAME
greeting
bye
other
COPY --chown=bob --chmod=600 <<"key" /home/bob/.key
secret
key
