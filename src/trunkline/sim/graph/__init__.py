"""GitHub's GraphQL API over the world, executed by graphql-core against GitHub's own schema."""
