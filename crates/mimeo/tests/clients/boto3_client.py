"""Uses S3 and DynamoDB at an endpoint."""

import json
import sys

import boto3
from botocore.config import Config

endpoint = sys.argv[1]
options = {
    "endpoint_url": endpoint,
    "region_name": "us-east-1",
    "aws_access_key_id": "test",
    "aws_secret_access_key": "test",
    "config": Config(proxies={}, s3={"addressing_style": "path"}),
}
s3 = boto3.client("s3", **options)
s3.create_bucket(Bucket="shop")
s3.put_object(Bucket="shop", Key="a/key", Body=b"content")
content = s3.get_object(Bucket="shop", Key="a/key")["Body"].read().decode()
assert s3.list_objects_v2(Bucket="shop")["KeyCount"] == 1
dynamodb = boto3.client("dynamodb", **options)
dynamodb.create_table(
    TableName="people",
    KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    BillingMode="PAY_PER_REQUEST",
)
dynamodb.put_item(TableName="people", Item={"id": {"S": "1"}, "name": {"S": "Ada"}})
item = dynamodb.get_item(TableName="people", Key={"id": {"S": "1"}})["Item"]
print(json.dumps({"object": content, "item": item["name"]["S"]}))
