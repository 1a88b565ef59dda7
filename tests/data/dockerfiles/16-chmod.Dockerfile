FROM debian
COPY --chmod=755 entrypoint.sh /usr/local/bin/
COPY --chmod=0644 --chown=www-data conf/*.conf /etc/app/
ADD --chown=1000:1000 data.tar /data/
ENTRYPOINT ["entrypoint.sh"]
CMD ["serve"]
