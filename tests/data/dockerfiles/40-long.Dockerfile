FROM ubuntu:24.04
ENV VAR_0=value-0
RUN echo 0 >> /log && test -n "$VAR_0"
ENV VAR_1=value-1
RUN echo 1 >> /log && test -n "$VAR_1"
ENV VAR_2=value-2
RUN echo 2 >> /log && test -n "$VAR_2"
ENV VAR_3=value-3
RUN echo 3 >> /log && test -n "$VAR_3"
ENV VAR_4=value-4
RUN echo 4 >> /log && test -n "$VAR_4"
ENV VAR_5=value-5
RUN echo 5 >> /log && test -n "$VAR_5"
ENV VAR_6=value-6
RUN echo 6 >> /log && test -n "$VAR_6"
ENV VAR_7=value-7
RUN echo 7 >> /log && test -n "$VAR_7"
ENV VAR_8=value-8
RUN echo 8 >> /log && test -n "$VAR_8"
ENV VAR_9=value-9
RUN echo 9 >> /log && test -n "$VAR_9"
ENV VAR_10=value-10
RUN echo 10 >> /log && test -n "$VAR_10"
ENV VAR_11=value-11
RUN echo 11 >> /log && test -n "$VAR_11"
ENV VAR_12=value-12
RUN echo 12 >> /log && test -n "$VAR_12"
ENV VAR_13=value-13
RUN echo 13 >> /log && test -n "$VAR_13"
ENV VAR_14=value-14
RUN echo 14 >> /log && test -n "$VAR_14"
ENV VAR_15=value-15
RUN echo 15 >> /log && test -n "$VAR_15"
ENV VAR_16=value-16
RUN echo 16 >> /log && test -n "$VAR_16"
ENV VAR_17=value-17
RUN echo 17 >> /log && test -n "$VAR_17"
ENV VAR_18=value-18
RUN echo 18 >> /log && test -n "$VAR_18"
ENV VAR_19=value-19
RUN echo 19 >> /log && test -n "$VAR_19"
ENV VAR_20=value-20
RUN echo 20 >> /log && test -n "$VAR_20"
ENV VAR_21=value-21
RUN echo 21 >> /log && test -n "$VAR_21"
ENV VAR_22=value-22
RUN echo 22 >> /log && test -n "$VAR_22"
ENV VAR_23=value-23
RUN echo 23 >> /log && test -n "$VAR_23"
ENV VAR_24=value-24
RUN echo 24 >> /log && test -n "$VAR_24"
ENV VAR_25=value-25
RUN echo 25 >> /log && test -n "$VAR_25"
ENV VAR_26=value-26
RUN echo 26 >> /log && test -n "$VAR_26"
ENV VAR_27=value-27
RUN echo 27 >> /log && test -n "$VAR_27"
ENV VAR_28=value-28
RUN echo 28 >> /log && test -n "$VAR_28"
ENV VAR_29=value-29
RUN echo 29 >> /log && test -n "$VAR_29"
ENV VAR_30=value-30
RUN echo 30 >> /log && test -n "$VAR_30"
ENV VAR_31=value-31
RUN echo 31 >> /log && test -n "$VAR_31"
ENV VAR_32=value-32
RUN echo 32 >> /log && test -n "$VAR_32"
ENV VAR_33=value-33
RUN echo 33 >> /log && test -n "$VAR_33"
ENV VAR_34=value-34
RUN echo 34 >> /log && test -n "$VAR_34"
ENV VAR_35=value-35
RUN echo 35 >> /log && test -n "$VAR_35"
ENV VAR_36=value-36
RUN echo 36 >> /log && test -n "$VAR_36"
ENV VAR_37=value-37
RUN echo 37 >> /log && test -n "$VAR_37"
ENV VAR_38=value-38
RUN echo 38 >> /log && test -n "$VAR_38"
ENV VAR_39=value-39
RUN echo 39 >> /log && test -n "$VAR_39"
ENV VAR_40=value-40
RUN echo 40 >> /log && test -n "$VAR_40"
ENV VAR_41=value-41
RUN echo 41 >> /log && test -n "$VAR_41"
ENV VAR_42=value-42
RUN echo 42 >> /log && test -n "$VAR_42"
ENV VAR_43=value-43
RUN echo 43 >> /log && test -n "$VAR_43"
ENV VAR_44=value-44
RUN echo 44 >> /log && test -n "$VAR_44"
ENV VAR_45=value-45
RUN echo 45 >> /log && test -n "$VAR_45"
ENV VAR_46=value-46
RUN echo 46 >> /log && test -n "$VAR_46"
ENV VAR_47=value-47
RUN echo 47 >> /log && test -n "$VAR_47"
ENV VAR_48=value-48
RUN echo 48 >> /log && test -n "$VAR_48"
ENV VAR_49=value-49
RUN echo 49 >> /log && test -n "$VAR_49"
ENV VAR_50=value-50
RUN echo 50 >> /log && test -n "$VAR_50"
ENV VAR_51=value-51
RUN echo 51 >> /log && test -n "$VAR_51"
ENV VAR_52=value-52
RUN echo 52 >> /log && test -n "$VAR_52"
ENV VAR_53=value-53
RUN echo 53 >> /log && test -n "$VAR_53"
ENV VAR_54=value-54
RUN echo 54 >> /log && test -n "$VAR_54"
ENV VAR_55=value-55
RUN echo 55 >> /log && test -n "$VAR_55"
ENV VAR_56=value-56
RUN echo 56 >> /log && test -n "$VAR_56"
ENV VAR_57=value-57
RUN echo 57 >> /log && test -n "$VAR_57"
ENV VAR_58=value-58
RUN echo 58 >> /log && test -n "$VAR_58"
ENV VAR_59=value-59
RUN echo 59 >> /log && test -n "$VAR_59"
WORKDIR /done
