FROM continuumio/miniconda3:24.5.0-0
COPY environment.yml /tmp/environment.yml
RUN conda env create -f /tmp/environment.yml && \
    conda clean -afy
ENV PATH=/opt/conda/envs/app/bin:$PATH
SHELL ["conda", "run", "-n", "app", "/bin/bash", "-c"]
RUN python -c "import numpy; print(numpy.__version__)"
CMD ["jupyter", "lab", "--ip=0.0.0.0", "--no-browser"]
