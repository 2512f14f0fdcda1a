"""The spike's databases and connectors by name."""
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))

from example import Example

SECRETS = (HERE / "secrets.txt").read_text().split()
CONNECTORS = ["customer-source", "customer-copy"]
TOPIC = "cdc.public.customer"
GROUP = "connect-customer-copy"


class Spike(Example):
    def __init__(self, embedded, *ports, otlp=None, postgres_url=None):
        """`otlp`: where spans and metrics are sent, if anywhere."""
        env = {"WALSPRING_LOG_RECORDS": "true", "OTEL_SERVICE_NAME": "customer-spike"}
        if otlp:
            env |= {"OTEL_EXPORTER_OTLP_ENDPOINT": otlp, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", "OTEL_BSP_SCHEDULE_DELAY": "500"}
        super().__init__(HERE, SECRETS, embedded, *ports, postgres_url=postgres_url, **env)

    def crm(self):
        """A connection as the application has it."""
        return self.postgres.connect("crm", "crm_app", self.secret("CRM_APP_PASSWORD"))

    def copy(self):
        return self.postgres.connect("crm_copy")
