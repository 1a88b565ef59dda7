FROM node:20-bookworm-slim
ENV NODE_ENV=production
WORKDIR /usr/src/app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev && npm cache clean --force
COPY --chown=node:node src/ ./src/
USER node
EXPOSE 3000
ENTRYPOINT ["node"]
CMD ["src/server.js"]
