FROM ubuntu:22.04
ENV ONE=1 TWO="two words" THREE='single $quoted' FOUR=with\ space
ENV FIVE all of this line "with quotes"
ENV PATH=/opt/bin:$PATH
ENV EMPTY=
ENV URL=https://example.com/?a=b&c=d
ENV NESTED=${ONE}-${TWO:-none}
