FROM alpine
RUN <<-END
	echo tabs
		echo deeper
	END
