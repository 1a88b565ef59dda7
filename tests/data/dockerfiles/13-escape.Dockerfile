# escape=`
FROM mcr.microsoft.com/powershell
WORKDIR C:/app
RUN echo one `
  && echo two
ENV P=a`b
