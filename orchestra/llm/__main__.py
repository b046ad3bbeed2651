"""Makes at installation what takes long to make, so that the first start need not wait for it."""

from orchestra.environment import keep_vendors_quiet
from orchestra.llm.embedded import ADAPTER, ADAPTER_SCALE, packaged_weights
from orchestra.llm.embedding import packaged_folder
from orchestra.llm.encoder import encoder
from orchestra.llm.merging import merged_weights

if __name__ == "__main__":
    keep_vendors_quiet()
    merged_weights(packaged_weights(), ADAPTER, ADAPTER_SCALE)
    encoder(str(packaged_folder()))
