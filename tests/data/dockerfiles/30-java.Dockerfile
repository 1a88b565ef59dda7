FROM eclipse-temurin:21-jdk
ARG JAR_FILE=target/*.jar
WORKDIR /opt/app
COPY target/app.jar app.jar
ENV JAVA_OPTS="-Xms64m -Xmx512m"
EXPOSE 8080
ENTRYPOINT ["sh", "-c", "java $JAVA_OPTS -jar app.jar"]
