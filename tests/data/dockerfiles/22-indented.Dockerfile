
   FROM alpine
   # an indented comment
   RUN echo a
	RUN echo b
