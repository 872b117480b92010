"""Retrieval: exact ranks, protocols under their names, re-ranking, scores of anybody's embeddings."""

from limbeck.retrieval.evaluation import Evaluation, evaluate
from limbeck.retrieval.features import Features, save_features
from limbeck.retrieval.files import load_features
from limbeck.retrieval.metrics import Metrics, summarise
from limbeck.retrieval.nearest import TopK
from limbeck.retrieval.protocols import (
    CUB,
    CUHK03NP,
    LLCM,
    LTCC,
    MSMT17,
    PRCC,
    SOP,
    SYSU,
    Cars,
    CrossModal,
    InShop,
    LeaveOneOut,
    Market,
    Protocol,
    RegDB,
    VehicleID,
    VeRi,
    named_protocols,
)
from limbeck.retrieval.ranking import Labels, Ranker, Ranks
from limbeck.retrieval.reranking import k_reciprocal
from limbeck.retrieval.similarity import similarities
from limbeck.retrieval.top_k import RankedList, ranked_lists, top_k

__all__ = [
    "CUB",
    "CUHK03NP",
    "LLCM",
    "LTCC",
    "MSMT17",
    "PRCC",
    "SOP",
    "SYSU",
    "Cars",
    "CrossModal",
    "Evaluation",
    "Features",
    "InShop",
    "Labels",
    "LeaveOneOut",
    "Market",
    "Metrics",
    "Protocol",
    "RankedList",
    "Ranker",
    "Ranks",
    "RegDB",
    "TopK",
    "VeRi",
    "VehicleID",
    "evaluate",
    "k_reciprocal",
    "load_features",
    "named_protocols",
    "ranked_lists",
    "save_features",
    "similarities",
    "summarise",
    "top_k",
]
